"""Whether the target queried the policy record when it had to, and which policies it could know.

RFC 8461, section 5: no permanent failure before DNS was asked whether there is a newer policy. Asking at the beginning
of the attempt that failed is enough: the text demands a look, not a second one. Holding is then only advised (SHOULD).

Section 5.1: while a cached policy lasts a sender uses it, and may look for a newer one with every message. So one that
did not look since the policy was replaced breaks no MUST by keeping the older. But domains are told that a new id is
seen once the record's TTL has passed (section 8.1), and senders are not to wait until a policy expires (section 10.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mta_sts_lab.events import ClockAdvanced, Event, MessageInjected, StepBegan, TargetRestarted
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.model.case import Case, Step
from mta_sts_lab.model.target import About
from mta_sts_lab.model.world import Policy

#: The advice that a sender does not follow that did not look since the policy was replaced.
LOOKS_IN_TIME = "STS-10.2-01"

#: The obligations that a returned message breaks.
BEFORE_POLICY_CHECK = "STS-5-07"
AFTER_POLICY_CHECK = "STS-5-08"


def older_policy(case: Case, facts: CaseFacts, message: MessageFacts, of_run: CaseFacts, about: About) -> Policy | None:
    """Return the policy that the target fetched last, if it was replaced before a message and not queried since.

    One whose max_age had passed when the message came is none, nor one that a restart has taken from a sender without
    a lasting cache.
    """
    found = _replacement(case, facts, message)
    if found is None:
        return None
    fetched, held, replaced = found
    if any(replaced < event.at <= message.until for event in facts.policy_asked()):
        return None
    forgets = about.policy_cache != "persistent"
    return held if still_lasts(fetched, held.max_age, message.injected, of_run, forgets=forgets) else None


def looked_beside(case: Case, step: Step, message: MessageFacts) -> bool | None:
    """Whether a target got the policy that a step publishes in the place of its own only when it had delivered.

    It may look for one beside a delivery, "so as not to block" it (RFC 8461, section 5.1). One that had the policy
    before it looked for the hosts has no such excuse, nor one that never fetched it. None: it came in between, and
    nobody can tell.
    """
    facts, began, copies = message.facts, message.step_began(), message.copies()
    fetched = [event.at for event in facts.policy_fetched(math.inf) if event.at > began]
    if not fetched or not copies or not _replaces_what_was_fetched(case, step, facts.policy_fetched(began)):
        return False
    arrived = copies[0][0].at
    if fetched[0] < min(facts.queries("MX", began, arrived), default=arrived):
        return False
    return True if fetched[0] > arrived else None


def _replaces_what_was_fetched(case: Case, step: Step, fetched: Sequence[Event]) -> bool:
    """Whether a step publishes another policy than the step before it, which was fetched last."""
    number = case.steps.index(step)
    served = {one.name: one.world.policy for one in case.steps}
    before = case.steps[number - 1].world.policy if number else None
    return bool(fetched) and served.get(fetched[-1].step) == before and before != step.world.policy


def saw_a_newer_policy(case: Case, facts: CaseFacts, message: MessageFacts) -> bool:
    """Whether the target looked for the policy record after another policy than it had was published, before a step."""
    began, found = message.step_began(), _replacement(case, facts, message)
    return found is not None and any(found[2] < event.at < began for event in facts.policy_asked())


def _replacement(case: Case, facts: CaseFacts, message: MessageFacts) -> tuple[float, Policy, float] | None:
    """Return when the target fetched a policy last, that policy, and when another one was published in its place."""
    served = {step.name: step.world.policy for step in case.steps}
    fetched = facts.policy_fetched(message.until)
    held = served.get(fetched[-1].step) if fetched else None
    if held is None:
        return None
    began = [event for event, _ in facts.of_kind(StepBegan) if fetched[-1].at < event.at <= message.until]
    replaced = next((event.at for event in began if served.get(event.step) not in (None, held)), None)
    return None if replaced is None else (fetched[-1].at, held, replaced)


def still_lasts(since: float, max_age: float, until: float, of_run: CaseFacts, *, forgets: bool = True) -> bool:
    """Whether what was fetched for max_age seconds lasts, by the target's clock, and was not lost by a restart.

    `forgets` says that a restart may lose it. What the target was asked for, and had not said to be done, counts as
    done: a message that leaves between the two is sent by a clock that may have been moved already.
    """
    restarted = any(
        since < event.at and began_at(event, fact) <= until for event, fact in of_run.of_kind(TargetRestarted)
    )
    moved = sum(
        fact.seconds
        for event, fact in of_run.of_kind(ClockAdvanced)
        if since < event.at and began_at(event, fact) <= until
    )
    return not (restarted and forgets) and until - since + moved < max_age


def began_at(event: Event, fact: ClockAdvanced | TargetRestarted) -> float:
    """Return when the target was asked for a change. Older records only say when it was done."""
    return event.at if fact.asked is None else fact.asked


@dataclass(frozen=True, slots=True)
class PolicyChecks:
    """The queries for the policy record between a message's injection and its return.

    `for_another` are those during which an older message of the same domain was waiting: whose they were, nobody can
    tell from outside.
    """

    own: tuple[Event, ...]
    for_another: tuple[Event, ...]

    @property
    def obligation(self) -> str:
        """What the return breaks. In doubt the lesser: that the message should have been kept is certain."""
        return AFTER_POLICY_CHECK if self.own or self.for_another else BEFORE_POLICY_CHECK

    @property
    def reason(self) -> str:
        """The reason code that goes with the obligation."""
        if self.own:
            return "bounced-after-policy-check"
        return "bounced-perhaps-after-policy-check" if self.for_another else "bounced-before-policy-check"


def policy_checks(message: MessageFacts) -> PolicyChecks:
    """Return the queries for the policy record that may have been for a message that was returned.

    They lie between the beginning of its injection and the time when the target had given it up: its notice arrived,
    or a look at its queue began that no longer showed the message. A look behind the last session counts as well: a
    sender that asks when everything has failed, and before it returns the mail, does just what is demanded of it.
    """
    facts = message.facts
    given_up = min([*_missed(message), *(event.at for event in message.bounces())], default=message.until)
    asked = [event for event in facts.policy_asked() if message.handed_over_since() < event.at < given_up]
    waiting = _waits_of_older_messages(message)
    for_another = tuple(event for event in asked if any(since < event.at < until for since, until in waiting))
    return PolicyChecks(tuple(event for event in asked if event not in for_another), for_another)


def _missed(message: MessageFacts) -> list[float]:
    """Return when the looks at the queue began that no longer showed a message; one that turns up again was there."""
    seen = [one for _, one in message.queue()]
    shown = max((number for number, one in enumerate(seen) if one.state != "gone"), default=-1)
    return [one.looked for one in seen[shown + 1 :]]


def _waits_of_older_messages(message: MessageFacts) -> list[tuple[float, float]]:
    """Return from when until when each older message of the case was in the target's hands."""
    facts = message.facts
    waits = []
    for event, fact in facts.of_kind(MessageInjected):
        if event.at < message.injected and fact.token != message.token:
            other = MessageFacts(facts, fact.token, event.at, message.until)
            ends = [*(one.at for one, _ in other.copies()), *(one.at for one in other.bounces())]
            waits.append((event.at, min(ends, default=message.until)))
    return waits
