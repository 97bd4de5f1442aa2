"""What the events of a case show of one message: its copies, its state in the queue, and its outcome. No judgement."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mta_sts_lab.events import (
    BounceReceived,
    ConnectionAccepted,
    DnsAnswered,
    Event,
    InjectionBegan,
    MessageAccepted,
    MessageInjected,
    QueueSeen,
    StepBegan,
    TokenRead,
)
from mta_sts_lab.judge.facts import RECEIVING, CaseFacts
from mta_sts_lab.judge.protection import Breach
from mta_sts_lab.model.grading import Outcome

#: A notification that is no delivery status notification at all. It comes from the null reverse-path all the same, and
#: nobody writes such mail to say that all is well.
UNREADABLE = "unreadable"

#: What a notification says of a message that its sender gave up.
FAILURES = ("failed", UNREADABLE)

#: Seconds. A resolver's repeated query within one attempt (timeout 2 s, 2 attempts) must not count as a second attempt.
SAME_ATTEMPT = 5.0

#: An address in the words of a queue, with the tag that SMTP puts before one of IPv6.
_ADDRESS = (
    r"(?<![\w:])(?:IPv6:)?(?:(?:[\da-f]{1,4}:){7}[\da-f]{1,4}|(?:[\da-f]{1,4}(?::[\da-f]{1,4})*)?::"
    r"(?:[\da-f]{1,4}(?::[\da-f]{1,4})*(?:(?:\.\d+){3})?)?)(?!\w)|\d+(?:\.\d+){3}"
)

#: What a sender makes up for one message or one thread: an id of Exim's queue, and any long word with a digit in it, as
#: the ids of other queues and OpenSSL's threads. The codes of SMTP and OpenSSL, which tell errors apart, are shorter.
_ID = r"\b1[\da-z]{5}-[\da-z]{6}(?:[\da-z]{5})?-[\da-z]{2,4}\b|\b(?=[a-z]*\d)[\da-z]{9,}\b"


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """The events of one message up to a point in time, and its outcome."""

    facts: CaseFacts
    token: str
    injected: float
    until: float

    def copies(self) -> list[tuple[Event, MessageAccepted]]:
        """Return every acceptance of the message by a receiving host, honest or not; not for its other recipient."""
        others = self.facts.carried_other_mail()
        return [
            (event, fact)
            for event, fact in self.facts.of_kind(MessageAccepted)
            if self.token in fact.tokens and fact.role in RECEIVING and event.at <= self.until
            if fact.session not in others and not self.facts.is_of_other_mail(fact.recipients)
        ]

    def bounces(self) -> list[Event]:
        """Return the failure notifications that reached the sender's domain; not those about its other recipient."""
        return [
            event
            for event, fact in self.facts.of_kind(BounceReceived)
            if fact.token == self.token and fact.action in FAILURES and event.at <= self.until
            if not self.facts.is_of_other_mail([fact.about]) and not self._is_perhaps_a_warning(event, fact)
        ]

    def _is_perhaps_a_warning(self, notice: Event, fact: BounceReceived) -> bool:
        """Whether a notice in plain words, of a failure or of a delay, came while the queue held the message still.

        A message that is returned may be in the queue for another moment. Where no queue is seen, one that arrived
        behind the notice was not returned.
        """
        if fact.action != UNREADABLE:
            return False
        if not self.queue():
            return any(event.at > notice.at for event, _ in self.copies())
        later = [seen.state for _, seen in self.queue() if seen.looked > notice.at]
        return bool(later) and (later[-1] != "gone" or (later[0] != "gone" and bool(self.copies())))

    def readings(self, secured: bool) -> list[Event]:
        """Return the events by which an outsider could read the message, on its way to the domain itself."""
        others = self.facts.carried_other_mail()
        return [
            event
            for event, fact in self.facts.of_kind(TokenRead)
            if fact.token == self.token and fact.secured is secured and event.at <= self.until
            if fact.session not in others
        ]

    def queue(self) -> list[tuple[Event, QueueSeen]]:
        """Return the states of the message in the target's queue."""
        return [(event, fact) for event, fact in self.facts.queue_of(self.token) if event.at <= self.until]

    def reasons(self) -> list[str]:
        """Return why the target's queue says that it holds the message, without what differs from case to case."""
        own = rf"(?:[\w-]+\.)*{re.escape(self.facts.domain)}\b|{re.escape(self.token)}"
        names = re.compile(f"{own}|{_ADDRESS}|{_ID}", re.IGNORECASE)
        return [names.sub("*", fact.reason) for _, fact in self.queue() if fact.reason and fact.state == "deferred"]

    def kind_of(self, copy: MessageAccepted) -> Outcome:
        """Tell how a copy was protected on the target's own leg of the way, by the protection in force."""
        kind = self._kind_on_the_wire(copy)
        if kind is Outcome.DELIVERED_AUTHENTICATED and self.breach_of(copy):
            return Outcome.DELIVERED_UNAUTHENTICATED
        return kind

    def breach_of(self, copy: MessageAccepted) -> Breach | None:
        """Say how the acceptance of a copy breaks the protection in force for its session."""
        kind = self._kind_on_the_wire(copy)
        genuine = kind is Outcome.DELIVERED_AUTHENTICATED or (not copy.via and copy.role == "mx")
        certificate = copy.certificate if genuine else ""
        return self.facts.breach(copy.via or copy.session, copy.host, kind is not Outcome.DELIVERED_CLEAR, certificate)

    def _kind_on_the_wire(self, copy: MessageAccepted) -> Outcome:
        if copy.via:
            return self._kind_through_attacker(copy)
        if not copy.secured:
            return Outcome.DELIVERED_CLEAR
        if copy.role == "mx" and self._authenticated(copy) and self.facts.owns(copy.host):
            return Outcome.DELIVERED_AUTHENTICATED
        return Outcome.DELIVERED_UNAUTHENTICATED

    def _authenticated(self, copy: MessageAccepted) -> bool:
        return self.facts.authenticates(copy.via or copy.session, copy.host, copy.certificate)

    def _kind_through_attacker(self, copy: MessageAccepted) -> Outcome:
        """An attacker who only passed TLS on saw nothing; one who read the message, or ended TLS himself, did."""
        readings = [fact for _, fact in self.facts.of_kind(TokenRead) if fact.session == copy.via]
        if any(not reading.secured for reading in readings) or not copy.secured:
            return Outcome.DELIVERED_CLEAR
        if readings or self.facts.session(copy.via).established is not None or copy.role != "mx":
            return Outcome.DELIVERED_UNAUTHENTICATED
        if not self._authenticated(copy) or not self.facts.owns(copy.host):
            return Outcome.DELIVERED_UNAUTHENTICATED
        return Outcome.DELIVERED_AUTHENTICATED

    def outcome(self) -> Outcome:
        """Return the outcome of the message: of several copies the least protected one counts."""
        return self.facts.worked_out((self.token, self.injected, self.until), self._found_outcome)

    def _found_outcome(self) -> Outcome:
        kinds = {self.kind_of(copy) for _, copy in self.copies()}
        for kind in (Outcome.DELIVERED_CLEAR, Outcome.DELIVERED_UNAUTHENTICATED, Outcome.DELIVERED_AUTHENTICATED):
            if kind in kinds:
                return kind
        if self.bounces():
            return Outcome.BOUNCED
        if self.gone():
            return Outcome.LOST
        return Outcome.DEFERRED if self.settled() else Outcome.UNSETTLED

    def gone(self) -> bool:
        """Whether the target's queue, when last seen, no longer held the message."""
        seen = self.queue()
        return bool(seen) and seen[-1][1].state == "gone"

    def belying_the_queue(self) -> list[Event]:
        """Return the first copy if it arrived after the queue no longer held the message, and nothing had ended it."""
        first = self.copies()[:1]
        seen = [fact for event, fact in self.queue() if first and event.at < first[0][0].at]
        gone = bool(seen) and seen[-1].state == "gone"
        return [event for event, _ in first if gone and not any(one.at < event.at for one in self.bounces())]

    def settled(self) -> bool:
        """Whether it is proved that the target decided to hold the message.

        The proof is a second attempt that changed nothing: the queue showed the message as deferred, the target tried
        again at least its retry time after the injection (a sender may be laxer with an older message), that attempt
        came to its end, and the queue shows the message as deferred still. A look at the queue only counts if it began
        when the target was with no receiving host: the listing is no younger than the look, and a sender that lists a
        message as deferred while it is at work on it is not believed. A target that does not show its queue must
        have been seen to try three times: the last attempt proves that the one before it, which came late enough as
        well, ended without a delivery.
        """
        seen = self.queue()
        if not seen:
            attempts = [at for at in self._attempts() if not self._is_with_a_host(at)]
            return len(attempts) >= 3 and attempts[-2] >= self.injected + self.facts.retry_seconds
        met = min((event.at for event in self._own_contacts()), default=math.inf)
        # Held before anybody was asked or met: Courier puts a message off when a connection that it had kept is dead.
        held = [
            (event.at, fact.looked)
            for event, fact in seen
            if fact.state == "deferred" and fact.looked > met and not self.busy_during(fact.looked, event.at)
        ]
        if not held or seen[-1][1].state != "deferred":
            return False
        return any(self._tried_again(held[0][0], looked) for _, looked in held[1:])

    def _own_contacts(self) -> list[Event]:
        """Return the contacts since the message's step began that were not for the sake of another domain's mail."""
        others = self.facts.carried_other_mail()
        return [
            event
            for event in self.facts.contacts(self.step_began())
            if not isinstance(event.fact, ConnectionAccepted) or event.fact.session not in others
        ]

    def _is_with_a_host(self, at: float) -> bool:
        """Whether a session with a receiving host, begun since the step began, had not ended by then."""
        sessions = self.facts.receiving_sessions(self.step_began(), at)
        return bool(set(sessions) - set(self.facts.ended_sessions(sessions, at)))

    def busy_during(self, looked: float, noted: float) -> bool:
        """Whether the target was on its way to a receiving host, or with one, during a look at its queue.

        An attempt begins with its MX query, and a sender may pause within an attempt, between two connections.
        """
        began = self.step_began()
        if self._is_with_a_host(looked) or self.facts.receiving_sessions(looked, noted):
            return True
        sessions = self.facts.receiving_sessions(began, looked)
        return bool(sessions) and bool(self.facts.queries("MX", max(self.facts.ends_of(sessions)), noted))

    def is_silent(self, at: float) -> bool:
        """Whether the target was with no receiving host, and asked for nothing for longer than an attempt pauses."""
        return not self._is_with_a_host(at) and all(event.at < at - SAME_ATTEMPT for event in self.contacts())

    def _tried_again(self, first_held: float, last_looked: float) -> bool:
        """Whether a second attempt began after the message was first held, and had ended when the last look began.

        An attempt that went as far as the first one has ended when the target has left the host. Where the first one
        connected to nobody, an end cannot be seen, and it takes a third attempt to prove that the second had one.
        """
        later = max(first_held, self.injected + self.facts.retry_seconds)
        began = self.step_began()
        if self.facts.receiving_sessions(began, first_held):
            # An attempt begins with its MX query: one that was begun too early may come to the host in good time.
            begun = self.facts.queries("MX", first_held, self.until)
            in_time = [at for at in begun if at > later] if begun else [later]
            sessions = self.facts.receiving_sessions(in_time[0], self.until) if in_time else []
            return any(end < last_looked for end in self.facts.ends_of(sessions))
        for kind in ("MX", "TXT"):
            if self.facts.queries(kind, began, first_held):
                again = self.facts.queries(kind, later, self.until)
                return len(again) >= 2 and again[1] < last_looked
        return False

    def step_began(self) -> float:
        """Return when the message's step began: a quick sender is at work before its reply to the injection is read."""
        return max((event.at for event, _ in self.facts.of_kind(StepBegan) if event.at <= self.injected), default=0.0)

    def handed_over_since(self) -> float:
        """Return when the lab began to hand the message over: chasquid's first query came before its reply was read."""
        begun = [event.at for event, fact in self.facts.of_kind(InjectionBegan) if fact.token == self.token]
        begun += [event.at for event, fact in self.facts.of_kind(MessageInjected) if fact.token == self.token]
        return min(begun, default=self.injected)

    def contacts(self) -> list[Event]:
        """Return the events by which the target tried to deliver since the message's step began."""
        return [event for event in self.facts.contacts(self.step_began()) if event.at <= self.until]

    def _attempts(self) -> list[float]:
        """Return when the target queried the MX record for this message's sake, far enough apart to be attempts."""
        attempts: list[float] = []
        for event in self.facts.contacts(self.handed_over_since()):
            is_query = isinstance(event.fact, DnsAnswered) and event.fact.type == "MX"
            if is_query and event.at <= self.until and (not attempts or event.at - attempts[-1] > SAME_ATTEMPT):
                attempts.append(event.at)
        return attempts


def message_of_step(facts: CaseFacts, step: str, until: float) -> MessageFacts | None:
    """Return the facts of the message that a step sent, up to a point in time."""
    found = facts.message_of(step)
    if found is None:
        return None
    event, message = found
    return MessageFacts(facts, message.token, event.at, until)


def belying_the_queue(facts: CaseFacts) -> list[Event]:
    """Return the copies of messages that arrived after the target's queue no longer held them."""
    sent = [MessageFacts(facts, fact.token, event.at, math.inf) for event, fact in facts.of_kind(MessageInjected)]
    return [event for message in sent for event in message.belying_the_queue()]
