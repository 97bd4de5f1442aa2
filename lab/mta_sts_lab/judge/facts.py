"""What the events of a case show, without any judgement.

Everything here is derived from the record alone. The runner uses the same functions to decide when the outcome of a
message is settled, so that it waits for exactly what the judge needs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from mta_sts_lab.events import (
    AttackFired,
    CaseBegan,
    CaseEnded,
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    DnsAnswered,
    Event,
    Fact,
    MessageInjected,
    OtherMessageInjected,
    PolicyRequested,
    QueueSeen,
    SenderLeft,
    SmtpSaid,
    TargetRestarted,
    TlsFailed,
)
from mta_sts_lab.judge.protection import NO_PROTECTION, Breach, Protection
from mta_sts_lab.judge.sessions import Session, Sessions
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.rfc.domain_names import canonical, is_within, policy_host_name, policy_record_name
from mta_sts_lab.rfc.published import BESIDE, MAILBOX

_Fact = TypeVar("_Fact", bound=Fact)

#: The lab's messages have their token as the local part of both addresses.
_TOKEN_IN_ENVELOPE = re.compile(r"<([0-9A-Fa-f]{16})@")

#: The roles of hosts that take mail for the domain, or pretend to.
RECEIVING = ("mx", "attacker-mx")


def not_killed(restarted: TargetRestarted) -> bool:
    """Whether a target survived a KILL: an SMTP session from before was still open afterwards.

    After a TERM it may finish its sessions; after a KILL it cannot.
    """
    return restarted.signal == "KILL" and restarted.outlived


class CaseFacts:
    """The events of one case, and queries on them. While the case is played, events are added.

    `retry_seconds` is what the target lets pass, at the least, before it tries a message again.
    """

    def __init__(self, case: str, events: Sequence[Event], retry_seconds: float = 0.0) -> None:
        self.case = case
        self.events = events
        self.retry_seconds = retry_seconds
        #: Takes a session and returns the protections one of which was in force for it. While a case is played nobody
        #: asks; the judge puts in what the record shows.
        self.in_force: Callable[[str], tuple[Protection, ...]] = lambda _: (NO_PROTECTION,)
        self._taken = 0
        #: The events of a kind; of all steps (None), and of each.
        self._by_kind: dict[tuple[type[Fact], str | None], list[tuple[Event, Any]]] = {}
        #: The states in the target's queue of each message, by its token.
        self._queue: dict[str, list[tuple[Event, QueueSeen]]] = {}
        #: What was worked out since there were new events: every check asks for it again.
        self._outcomes: dict[tuple[str, float, float], Outcome] = {}
        self._protections: dict[str, tuple[Protection, ...]] = {}
        self._contacts: list[Event] = []
        self._sessions = Sessions()
        self._domain = ""

    def _take(self) -> None:
        """Index the events that are new since the last query."""
        if self._taken == len(self.events):
            return
        new, self._taken = self.events[self._taken :], len(self.events)
        self._outcomes.clear()
        self._protections.clear()
        for event in new:
            for step in (None, event.step):
                self._by_kind.setdefault((type(event.fact), step), []).append((event, event.fact))
            self._sessions.follow(event)
            if isinstance(event.fact, QueueSeen):
                self._queue.setdefault(event.fact.token, []).append((event, event.fact))
            if isinstance(event.fact, CaseBegan):
                self._domain = self._domain or event.fact.domain
            if self._is_contact(event.fact):
                self._contacts.append(event)

    def of_kind(self, kind: type[_Fact], step: str | None = None) -> list[tuple[Event, _Fact]]:
        """Return the events of one kind, in order, optionally of one step only. Do not change the list."""
        # The checks ask more than a million times a run.
        if self._taken != len(self.events):
            self._take()
        return self._by_kind.get((kind, step), [])

    def queue_of(self, token: str) -> list[tuple[Event, QueueSeen]]:
        """Return the states of a message in the target's queue, in order. Do not change the list."""
        self._take()
        return self._queue.get(token, [])

    def worked_out(self, message: tuple[str, float, float], find: Callable[[], Outcome]) -> Outcome:
        """Return the outcome of a message, which is found once until there are new events."""
        self._take()
        if message not in self._outcomes:
            self._outcomes[message] = find()
        return self._outcomes[message]

    def went_on(self, session: str, after: Event) -> bool:
        """Whether the target said more in a session after an event: it had read the reply to what it said before.

        One that hung up without a further command may have waited for the reply in vain.
        """
        return any(
            event.number > after.number and fact.session == session and fact.speaker == "sender" and fact.line != "."
            for event, fact in self.of_kind(SmtpSaid)
        )

    def session(self, name: str) -> Session:
        """Return what is known of a session."""
        self._take()
        return self._sessions.of(name)

    @property
    def domain(self) -> str:
        """The case's policy domain."""
        self._take()
        return self._domain

    @property
    def control_only(self) -> bool:
        """Whether the case was only played because another one needs it as its control case."""
        return any(fact.control_only for _, fact in self.of_kind(CaseBegan))

    @property
    def ended(self) -> bool:
        """Whether the case was played to its end."""
        return bool(self.of_kind(CaseEnded))

    def breach(self, session: str, host: str, secured: bool, certificate: str = "") -> Breach | None:
        """Say how a session with a host breaks the protection in force, whichever of several that was."""
        found = [one.breach(host, secured, certificate) for one in self._protections_of(session)]
        return found[0] if all(found) else None

    def authenticates(self, session: str, host: str, certificate: str) -> bool:
        """Whether a certificate variant authenticates a host of a session, by the protection that was in force."""
        return any(one.authenticates(host, certificate) for one in self._protections_of(session))

    def _protections_of(self, session: str) -> tuple[Protection, ...]:
        self._take()
        if session not in self._protections:
            self._protections[session] = self.in_force(session)
        return self._protections[session]

    def certificate_of(self, session: str) -> str:
        """Return the variant under which TLS ended at the host of a session; empty if it did not, or not at an MX."""
        leg, tls = self.session(session).accepted, self.session(session).established
        genuine = leg is not None and tls is not None and leg.role == "mx" and tls.shown_by in ("", leg.host)
        return tls.certificate if tls is not None and genuine else ""

    def breach_in(self, session: str, secured: bool) -> Breach | None:
        """Say how what is sent in a session of the target's, inside TLS or not, breaks the protection in force."""
        leg = self.session(session).accepted
        if leg is None or leg.role not in RECEIVING or leg.via:
            return None
        return self.breach(session, leg.host, secured, self.certificate_of(session))

    def tokens_said(self, session: str) -> frozenset[str]:
        """Return the tokens in the envelopes that were said in a session, or behind it where it was passed on."""
        mine = self.session(session)
        lines = (one.line for leg in (mine, *mine.legs) for one in leg.lines if one.speaker == "sender")
        said = (_TOKEN_IN_ENVELOPE.search(line) for line in lines if line.upper().startswith(("MAIL", "RCPT")))
        return frozenset(found[1].lower() for found in said if found)

    def message_of(self, step: str) -> tuple[Event, MessageInjected] | None:
        """Return the message that a step sent, if the target took one."""
        return next(iter(self.of_kind(MessageInjected, step)), None)

    def fired(self, attack: str, step: str) -> list[Event]:
        """Return the events by which an attack took effect in a step, if the network traffic confirms it."""
        fired = [(event, fact) for event, fact in self.of_kind(AttackFired, step) if fact.attack == attack]
        return [event for event, fact in fired if self._on_the_wire(event, fact)]

    def _on_the_wire(self, event: Event, fired: AttackFired) -> bool:
        """Whether the record shows what an attack did, and not only that it says so.

        That is an answer that it forged; a connection denied, or a policy host that nobody could reach any more; a line
        that it altered, a certificate that it showed, or a host that never said a word.
        """
        if fired.channel == "dns":
            answers = self.of_kind(DnsAnswered, event.step)
            return any(answer.tampered_by == fired.attack for _, answer in answers)
        if not fired.session and fired.channel != "https":
            return False
        if not fired.session:
            return not [one for one in self.policy_host_reached() if one.step == event.step and one.at > event.at]
        session = self.session(fired.session)
        if session.denied or (session.failed is not None and session.failed.certificate):
            return True
        if session.established is not None:
            return session.established.shown_by == fired.attack
        heard = [one for one in session.lines if one.speaker != "sender"]
        return not heard or any(one.altered and one.line != one.instead_of for one in heard)

    def contacts(self, after: float = 0.0) -> list[Event]:
        """Return the events by which the target tried to deliver.

        These are the queries for the policy record and the MX record, and connections to receiving hosts: a sender that
        holds a message for want of a policy never gets further than the first.
        """
        self._take()
        return [event for event in self._contacts if event.at > after]

    def _is_contact(self, fact: Fact) -> bool:
        if isinstance(fact, DnsAnswered):
            asked = fact.type, canonical(fact.name)
            return asked in (("MX", self._domain), ("TXT", policy_record_name(self._domain)))
        if isinstance(fact, ConnectionAccepted):
            return fact.role in RECEIVING and not fact.via
        return isinstance(fact, ConnectionDenied) and fact.role in RECEIVING

    def target_left(self, sessions: Iterable[str], before: float = math.inf) -> bool:
        """Whether some sessions ended by then, and the target is seen to have ended each of those.

        By QUIT, by an alert, or by hanging up first; otherwise it may have been the lab, or an attacker that is broken.
        """
        closed = {fact.session for event, fact in self.of_kind(ConnectionClosed) if event.at <= before}
        ended = closed & set(sessions)
        left = {fact.session for _, fact in self.of_kind(SenderLeft)}
        left |= {fact.session for _, fact in self.of_kind(TlsFailed) if fact.alert}
        return bool(ended) and all(name in left or self.session(name).sender_said("QUIT") for name in ended)

    def receiving_sessions(self, after: float, before: float) -> list[str]:
        """Return the sessions in which the target came to a receiving host within a time."""
        reached = self.of_kind(ConnectionAccepted) + self.of_kind(ConnectionDenied)
        met = [fact.session for event, fact in reached if after < event.at <= before and self._is_contact(fact)]
        others = self.carried_other_mail()
        return [session for session in met if session not in others] if others else met

    def ends_of(self, sessions: Collection[str]) -> list[float]:
        """Return when some sessions ended; a connection that was denied ended at once."""
        return [event.at for event, fact in self._ends() if fact.session in sessions]

    def ended_sessions(self, sessions: Collection[str], before: float) -> list[str]:
        """Return those of some sessions that had ended before a point in time."""
        return [fact.session for event, fact in self._ends() if event.at < before and fact.session in sessions]

    def _ends(self) -> list[tuple[Event, ConnectionClosed] | tuple[Event, ConnectionDenied]]:
        return [*self.of_kind(ConnectionClosed), *self.of_kind(ConnectionDenied)]

    def tlsa_asked(self, step: str | None = None) -> list[tuple[Event, DnsAnswered]]:
        """Return the look-ups of TLSA records of the domain's hosts."""
        return [(event, fact) for event, fact in self.of_kind(DnsAnswered, step) if fact.type == "TLSA"]

    def queries(self, kind: str, after: float, before: float) -> list[float]:
        """Return when the target asked for the domain's MX record, or (TXT) for its policy record, within a time."""
        asked = [(event, fact) for event, fact in self.of_kind(DnsAnswered) if fact.type == kind]
        return [event.at for event, fact in asked if after < event.at <= before and self._is_contact(fact)]

    def owns(self, host: str) -> bool:
        """Whether a host is one of the case's own domain."""
        return is_within(host, self.domain)

    def policy_asked(self) -> list[Event]:
        """Return the TXT queries for the policy record."""
        name = policy_record_name(self.domain)
        return [
            event for event, fact in self.of_kind(DnsAnswered) if fact.type == "TXT" and canonical(fact.name) == name
        ]

    def policy_host_reached(self) -> list[Event]:
        """Return the connections to the policy host, served or denied."""
        accepted = [event for event, fact in self.of_kind(ConnectionAccepted) if fact.role == "policy-host"]
        denied = [event for event, fact in self.of_kind(ConnectionDenied) if fact.role == "policy-host"]
        return accepted + denied

    def set_out_for_the_policy(self) -> list[Event]:
        """Return the events that show a try to fetch the policy: also DNS queries for a policy host that is down."""
        host = policy_host_name(self.domain)
        asked = [
            event
            for event, fact in self.of_kind(DnsAnswered)
            if fact.type in ("A", "AAAA") and canonical(fact.name) == host
        ]
        return self.policy_host_reached() + asked

    def looked_for_the_policy(self, since: float, until: float) -> bool:
        """Whether the target queried the policy record, or set out for the policy, between two points in time."""
        looks = self.policy_asked() + self.set_out_for_the_policy()
        return any(since < event.at <= until for event in looks)

    def policy_fetched(self, before: float) -> list[Event]:
        """Return the policy requests that were answered with 200 before a point in time."""
        return [event for event, fact in self.of_kind(PolicyRequested) if fact.status == 200 and event.at < before]

    def said(self, step: str, secured: bool, verbs: Iterable[str]) -> list[tuple[Event, SmtpSaid]]:
        """Return what the target itself said in the sessions of a step, by the verbs of SMTP."""
        return [
            (event, fact)
            for event, fact in self.of_kind(SmtpSaid)
            if fact.speaker == "sender"
            and fact.secured is secured
            and fact.line.upper().startswith(tuple(verbs))
            and (self.session(fact.session).step or event.step) == step
            and not self.session(fact.session).behind
            and self.session(fact.session).role != "sender-mx"
        ]

    def excused_sessions(self) -> frozenset[str]:
        """Return the sessions whose mail no policy of the domain may hold up: TLS reports, and mail for another one."""
        return self.carried_reports() | self.carried_other_mail()

    def carried_other_mail(self) -> frozenset[str]:
        """Return the sessions in which the target named recipients of the domain beside the case's own alone."""
        if not self.of_kind(OtherMessageInjected):
            return frozenset()
        beside = f"@{BESIDE}.{self.domain}>"
        named = [
            (fact.session, beside in fact.line.lower())
            for _, fact in self.of_kind(SmtpSaid)
            if fact.speaker == "sender" and fact.line.upper().startswith("RCPT")
        ]
        mixed = {session for session, is_other in named if not is_other}
        return frozenset(session for session, is_other in named if is_other and session not in mixed)

    def is_of_other_mail(self, addresses: Collection[str]) -> bool:
        """Whether some addresses are all at the domain beside the case's own, to which mail was sent as well.

        One session may carry a message to both domains, in a transaction for each.
        """
        if not self.of_kind(OtherMessageInjected):
            return False
        beside = f"@{BESIDE}.{self.domain}"
        return bool(addresses) and all(address.lower().endswith(beside) for address in addresses)

    def carried_reports(self) -> frozenset[str]:
        """Return the sessions in which the target mailed TLS reports, which no policy may hold up (RFC 8460, 3).

        One that also named another recipient is not among them: a report beside it excuses nothing.
        """
        named = [
            (fact.session, fact.line.upper().startswith(f"RCPT TO:<{MAILBOX.upper()}@"))
            for _, fact in self.of_kind(SmtpSaid)
            if fact.speaker == "sender" and fact.line.upper().startswith("RCPT")
        ]
        others = {session for session, is_report in named if not is_report}
        return frozenset(session for session, is_report in named if is_report and session not in others)

    def carried_unknown_mail(self) -> frozenset[str]:
        """Return the sessions that broke off behind MAIL, which named no message that is the case's alone."""
        others = {fact.token for _, fact in self.of_kind(OtherMessageInjected)}
        own = [fact for _, fact in self.of_kind(MessageInjected) if fact.token not in others]
        names = tuple(name.lower() for fact in own for name in (fact.token, f"<{fact.sender}>"))
        named = [
            (fact.session, line.startswith("mail") and not any(name in line for name in names))
            for _, fact in self.of_kind(SmtpSaid)
            if fact.speaker == "sender" and (line := fact.line.lower()).startswith(("mail", "rcpt", "data", "bdat"))
        ]
        told = {session for session, is_unknown in named if not is_unknown}
        return frozenset(session for session, is_unknown in named if is_unknown and session not in told)
