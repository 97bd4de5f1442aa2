"""Waits until the outcome of a message is settled, by the same functions that the judge uses afterwards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mta_sts_lab.events import (
    BounceReceived,
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    DeadlinePassed,
    DnsAnswered,
    MessageAccepted,
    PolicyRequested,
    QueueSeen,
    TlsFailed,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.model.case import Case, Step
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.runner.context import LabBroken, RunContext, Timeouts
from mta_sts_lab.targets.contract import MTA_STS, TargetError
from mta_sts_lab.timeouts import Deadline

#: Seconds between two checks while nothing happens. Only deadlines can pass then, and those are ten times longer.
_LOOK_UP = 0.25

#: The events that can change the outcome of a message. Only these wake up a case that waits for it.
_DECISIVE = (MessageAccepted, BounceReceived, QueueSeen)

#: Without a queue listing a hold is proved by the attempts, and those begin with a DNS query.
_DECISIVE_WITHOUT_QUEUE = (MessageAccepted, BounceReceived, DnsAnswered)


#: A target may take so many times as long over its question for the policy as over its delivery, where that is longer
#: than the deadline: on a busy machine both take longer.
_ASKS_AFTER = 4

#: A target may look for the policy once more in the pause before the next one; for who looks all the time nobody waits.
_MOST_PAUSES = 3


def fetched_before_delivery(facts: CaseFacts, step: str) -> bool:
    """Whether a step's fetches had all ended before the target connected to the host that took the step's message.

    The answer alone does not show it: a sender that fetches in parallel may store the policy after the delivery.
    """
    fetches = {fact.session for _, fact in facts.of_kind(PolicyRequested, step)}
    over = [event.at for event, fact in facts.of_kind(ConnectionClosed) if fact.session in fetches]
    taken = {fact.via or fact.session for _, fact in facts.of_kind(MessageAccepted, step)}
    begun = [event.at for event, fact in facts.of_kind(ConnectionAccepted) if fact.session in taken]
    return not fetches or not begun or (len(over) == len(fetches) and max(over) < min(begun))


def longest_for_policy(timeouts: Timeouts, delivery_seconds: float, *, knows_policies: bool) -> Deadline:
    """Return the deadline for a policy request: a short one for a target that neither claims MTA-STS nor ever asked.

    A target that is slow to deliver may be slow to ask, too. `delivery_seconds` is infinite without a delivery.
    """
    seconds = max(timeouts.policy_question.seconds, _ASKS_AFTER * delivery_seconds)
    if knows_policies or seconds >= timeouts.learn_policy.seconds:
        return timeouts.learn_policy
    return Deadline(timeouts.policy_question.name, seconds)


@dataclass(slots=True)
class Sent:
    """A message that the target took."""

    token: str
    recipient: str
    at: float


@dataclass(slots=True)
class Settling:
    """The waits of one case. `sent` is what the target took so far, in order."""

    context: RunContext
    case: Case
    sent: list[Sent] = field(default_factory=list)
    _case_facts: CaseFacts | None = None

    def facts(self, sent: Sent) -> MessageFacts:
        """Return what has been recorded of a message so far."""
        return MessageFacts(self._recorded(), sent.token, sent.at, math.inf)

    def _recorded(self) -> CaseFacts:
        """Return what has been recorded of the case so far."""
        if self._case_facts is None:
            # The list grows while the case is played, and what has been sorted of it stays sorted.
            events = self.context.recorder.of_case(self.case.id)
            self._case_facts = CaseFacts(self.case.id, events, self.context.about.retry_seconds)
        return self._case_facts

    def first_was_delivered(self) -> bool:
        """Whether nothing was sent yet, or the first message has arrived."""
        return not self.sent or self.facts(self.sent[0]).outcome().delivered

    async def settle(self, sent: Sent, deadline: Deadline, done: Callable[[Outcome], bool]) -> None:
        """Wait until a message's outcome satisfies `done`, asking for another attempt while it is merely held."""
        began = time.monotonic()
        gone_since = 0.0
        seen = -1
        while True:
            events = self.context.recorder.of_case(self.case.id)
            decisive = _DECISIVE if self.context.watch.offered else _DECISIVE_WITHOUT_QUEUE
            if any(isinstance(event.fact, decisive) for event in events[max(seen, 0) :]) or seen < 0:
                outcome = self.facts(sent).outcome()
            seen = len(events)
            now = time.monotonic()
            gone_since = (gone_since or now) if outcome is Outcome.LOST else 0.0
            if done(outcome) and (outcome is not Outcome.LOST or now - gone_since > self._bounce_seconds):
                if outcome.delivered:
                    await self._handed_over(sent)
                return
            self.give_up_when_hopeless()
            longest = self._longest(sent, deadline)
            if now - began > longest.seconds:
                self._passed(longest, f"{sent.recipient} is {outcome.value}")
                return
            if now - began >= self.context.about.retry_seconds and self._idle(sent):
                self.context.watch.retry(sent.token)
            await self.context.recorder.changed(self.case.id, _LOOK_UP)

    def _longest(self, sent: Sent, deadline: Deadline) -> Deadline:
        """Return a deadline with room for retries and, while the target says that it is at work, for the attempt."""
        timeouts = self.context.timeouts
        longest = timeouts.with_retries(deadline, self.context.about, self.context.watch.flushes)
        seen = self.facts(sent).queue()
        if not seen or seen[-1][1].state != "active":
            return longest
        return Deadline(timeouts.attempt.name, longest.seconds + timeouts.attempt.seconds)

    @property
    def _bounce_seconds(self) -> float:
        return self.context.timeouts.bounce.seconds

    def _idle(self, sent: Sent) -> bool:
        """Whether the target holds the message and is not trying it now.

        The queue may say "deferred" a moment before the target has left the host.
        """
        message = self.facts(sent)
        seen = message.queue()
        if not seen:
            return not self.context.watch.offered
        event, last = seen[-1]
        if last.state != "deferred" or message.facts.contacts(last.looked):
            return False
        # An attempt that fails on the way to a host, as by a look-up that times out, has no end that could be seen.
        return not message.busy_during(last.looked, event.at) or message.is_silent(self.context.recorder.now())

    async def _handed_over(self, sent: Sent) -> None:
        """Wait until the target has received the reply that accepts its message.

        Whoever ends an attacker's session between the MX's 250 and the target makes the target send a second copy, and
        would then blame it for that (RFC 5321, section 4.2.5).
        """
        deadline = self.context.timeouts.hand_over
        give_up = time.monotonic() + deadline.seconds
        while not self._target_knows(sent):
            self.give_up_when_hopeless()
            remaining = give_up - time.monotonic()
            if remaining <= 0:
                self._passed(deadline, f"the target to let go of {sent.recipient}")
                return
            await self.context.recorder.changed(self.case.id, remaining)

    def _target_knows(self, sent: Sent) -> bool:
        message = self.facts(sent)
        if self.context.watch.offered:
            return message.gone()
        closed = {fact.session for _, fact in message.facts.of_kind(ConnectionClosed)}
        return all((copy.via or copy.session) in closed for _, copy in message.copies())

    def give_up_when_hopeless(self) -> None:
        """Stop waiting once nothing more can be proved: the target is broken, or the lab is."""
        if self.context.watch.broken:
            raise TargetError(self.context.watch.broken)
        if self.context.recorder.has_failed(self.case.id):
            raise LabBroken("the lab failed; the record says where")

    def _passed(self, deadline: Deadline, waited_for: str) -> None:
        self.context.recorder.write(
            DeadlinePassed(deadline=deadline.name, seconds=deadline.seconds, waited_for=waited_for), self.case.id
        )

    def lets_mail_through(self, step: Step) -> bool:
        """Whether older mail can be waited for: not while the message of this step is held."""
        return not step.send or self.facts(self.sent[-1]).outcome() is not Outcome.DEFERRED

    async def recover(self) -> None:
        """Wait until everything that earlier steps left in the queue has arrived."""
        deadline = self.context.timeouts.recover
        for sent in self.sent:
            outcome = self.facts(sent).outcome()
            if outcome in (Outcome.DEFERRED, Outcome.UNSETTLED):
                await self.settle(sent, deadline, lambda outcome: outcome not in (Outcome.DEFERRED, Outcome.UNSETTLED))
            elif outcome is Outcome.LOST:
                await self._turn_up(sent)
            elif outcome.delivered:
                await self._handed_over(sent)

    async def answers_forgotten(self, step: Step) -> None:
        """Wait until the target's cached DNS answers have expired: before an attack on them, and before others come."""
        attacked = any(attack.channel == "dns" for attack in step.attacks)
        if not attacked and not self._changes_dane(step) and not self._changes_routing(step):
            return
        await self._let_pass(self.context.about.dns_memory_seconds)

    async def ready_for_next_policy(self, step: Step) -> None:
        """Wait until the target's last look for a policy is a while ago, before the domain publishes another one."""
        if not self.case.mode.has_policy or not self._changes_world(step):
            return
        pause = self.context.timeouts.next_policy.seconds
        for _ in range(_MOST_PAUSES):
            left = self._last_look() + pause - self.context.recorder.now()
            if left <= 0:
                return
            await self._let_pass(left)

    def _last_look(self) -> float:
        """Return when the target last looked for a policy."""
        facts = self._recorded()
        looks = [*facts.policy_asked(), *(event for event, _ in facts.of_kind(PolicyRequested))]
        return max((event.at for event in looks), default=-math.inf)

    async def _let_pass(self, seconds: float) -> None:
        """Wait so many seconds, unless nothing more can be proved."""
        end = time.monotonic() + seconds
        while (remaining := end - time.monotonic()) > 0:
            self.give_up_when_hopeless()
            await self.context.recorder.changed(self.case.id, remaining)

    def _changes_dane(self, step: Step) -> bool:
        return self.case.has_dane and self._changes_world(step)

    def _changes_routing(self, step: Step) -> bool:
        return step.world.routing != self._before(step).world.routing

    def _changes_world(self, step: Step) -> bool:
        """Whether a step's world is another than that of the step before."""
        return step.world != self._before(step).world

    def _before(self, step: Step) -> Step:
        """Return the step before a step; of the first one that one itself."""
        steps = self.case.steps
        return steps[max(steps.index(step) - 1, 0)]

    async def _turn_up(self, sent: Sent) -> None:
        """Wait for a message that the queue does not show: it may arrive all the same.

        If it arrives it was not lost: the queue listing was wrong, and proves nothing.
        """
        give_up = time.monotonic() + self._bounce_seconds
        self.context.watch.retry(sent.token)
        while self.facts(sent).outcome() is Outcome.LOST and time.monotonic() < give_up:
            self.give_up_when_hopeless()
            await self.context.recorder.changed(self.case.id, min(_LOOK_UP, self._bounce_seconds))

    async def policy_learned(self, sent: Sent) -> None:
        """Wait until the target has fetched the policy, which RFC 8461 allows after the delivery of `sent`.

        One that does not claim MTA-STS, and was never seen to ask for a policy, is not waited for that long.
        """
        began = time.monotonic()
        while not self._policy_host_answered():
            self.give_up_when_hopeless()
            deadline = self._longest_for_policy(sent)
            remaining = began + deadline.seconds - time.monotonic()
            if remaining <= 0:
                self._passed(deadline, "a policy request")
                return
            await self.context.recorder.changed(self.case.id, remaining)
        await self._policy_stored()

    def _longest_for_policy(self, sent: Sent) -> Deadline:
        if MTA_STS in self.context.about.capabilities:
            return self.context.timeouts.learn_policy
        facts = self._recorded()
        if facts.policy_asked() or facts.set_out_for_the_policy():
            self.context.asks_for_policies.set()
        knows_policies = self.context.asks_for_policies.is_set()
        copies = self.facts(sent).copies()
        delivery = copies[0][0].at - sent.at if copies else math.inf
        return longest_for_policy(self.context.timeouts, delivery, knows_policies=knows_policies)

    async def _policy_stored(self) -> None:
        """Give a target that delivers without waiting for the policy the time to store it.

        Nothing on the network shows when it has done so, and an earlier attack would blame it unfairly.
        """
        step = self.context.recorder.step_of(self.case.id)
        if not fetched_before_delivery(self._recorded(), step):
            await self._let_pass(self.context.timeouts.policy_stored.seconds)

    def _policy_host_answered(self) -> bool:
        """Whether the target has got an answer, a refusal, or left the policy host by itself."""
        step = self.context.recorder.step_of(self.case.id)
        events = [event for event in self.context.recorder.of_case(self.case.id) if event.step == step]
        facts = CaseFacts(self.case.id, events)
        reached = [event.fact for event in facts.policy_host_reached()]
        sessions = {fact.session for fact in reached if isinstance(fact, ConnectionAccepted)}
        ended = [fact for _, fact in facts.of_kind(ConnectionClosed)] + [fact for _, fact in facts.of_kind(TlsFailed)]
        return (
            bool(facts.of_kind(PolicyRequested))
            or any(isinstance(fact, ConnectionDenied) for fact in reached)
            or any(fact.session in sessions for fact in ended)
        )
