"""Whether anything shows that the target's clock moved, and what proves nothing where nothing does.

A hook `clock` may answer and move nothing. Then a policy that should have ended still counts, and one that should still
count was never put to the test: neither is the mail server's doing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mta_sts_lab.check_registry import check_id
from mta_sts_lab.events import ClockAdvanced, MessageAccepted
from mta_sts_lab.judge.checks.outcome import POLICY_HAD_ENDED, message_outcome
from mta_sts_lab.judge.checks.policy_requests import TOO_SELDOM, policy_request_count
from mta_sts_lab.judge.checks.report_content import report_names_right_day
from mta_sts_lab.judge.checks.report_series import report_retry_ends, report_retry_pauses_grow
from mta_sts_lab.judge.checks.reports import report_arrives
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement

#: What became of mail, and how often the policy was asked for, in a step after the clock was moved.
_OF_THE_POLICY = tuple(check_id(one) for one in (message_outcome, policy_request_count))

#: The findings on reports that rest on how much time has passed.
_OF_REPORTS = tuple(
    check_id(one) for one in (report_arrives, report_names_right_day, report_retry_ends, report_retry_pauses_grow)
)


def clock_seen_to_move(views: Iterable[CaseView]) -> bool:
    """Whether any case of a record shows that the target's clock moved as it was asked to."""
    return any(_stamped_later(view) or _lapsed(view) for view in views)


def rests_on_the_clock(view: CaseView, found: Judgement) -> bool:
    """Whether a judgement would be another one if the target's clock had stood still.

    Mail that leaves against the policy is no such case: the policy would count all the more. Mail that may leave
    because the policy has ended is one: by a clock that stood still, the policy would forbid it.
    """
    moved = steps_after_a_move(view.case)
    if not moved or found.harm in (Harm.LET_OUT, Harm.READ):
        return False
    if found.check in _OF_REPORTS:
        return found.grade in (Grade.FAIL, Grade.WEAK)
    step = next((one for one in moved if one.name == found.step), None)
    if step is None or found.check not in _OF_THE_POLICY or not view.case.mode.has_policy:
        return False
    if found.check == check_id(policy_request_count):
        bounds = step.expect.policy_requests if step.expect else None
        # As often as demanded, or too often, is so whatever the clock shows.
        few_enough = found.grade is Grade.PASS and bounds is not None and bounds.most is not None
        return few_enough or found.reason == TOO_SELDOM
    message = view.message(step)
    if view.case.mode is not Mode.ENFORCE or message is None:
        return False
    if message.outcome() is Outcome.DEFERRED or found.reason == POLICY_HAD_ENDED:
        return True
    let_go = found.grade is Grade.PASS and _left_unprotected(message) and view.policies_have_ended(message.until)
    return let_go and not _leaked_before(view, step)


def _left_unprotected(message: MessageFacts) -> bool:
    outcome = message.outcome()
    return outcome.delivered and outcome is not Outcome.DELIVERED_AUTHENTICATED


def _leaked_before(view: CaseView, step: Step) -> bool:
    """Whether mail of an earlier step left under an attack: a sender that kept to no policy needs no clock to do so."""
    before = view.case.steps[: view.case.steps.index(step)]
    messages = [view.message(one) for one in before if one.attacks and one.send]
    return any(message is not None and _left_unprotected(message) for message in messages)


def steps_after_a_move(case: Case) -> tuple[Step, ...]:
    """Return the steps of a case from the first one on that moves the target's clock."""
    first = next((number for number, step in enumerate(case.steps) if step.advance), len(case.steps))
    return case.steps[first:]


def _stamped_later(view: CaseView) -> bool:
    """Whether the target dated a message by a time that is closer to the moved one than to the lab's own."""
    moves = [(event.at, fact.seconds) for event, fact in view.of_run.of_kind(ClockAdvanced)]
    try:
        began = datetime.fromisoformat(view.clock_began).timestamp()
    except ValueError:
        return False
    for event, copy in view.facts.of_kind(MessageAccepted):
        moved = sum(seconds for at, seconds in moves if at <= event.at)
        if moved and copy.stamped > began + event.at + moved / 2:
            return True
    return False


def _lapsed(view: CaseView) -> bool:
    """Whether a policy that had held mail under an attack no longer did when its max_age had passed, attack or not."""
    moved = {step.name for step in steps_after_a_move(view.case) if step.attacks}
    if not moved or view.case.mode is not Mode.ENFORCE:
        return False
    messages = [(step, view.message(step), view.message_at_the_end(step)) for step in view.case.steps if step.send]
    held = any(
        step.attacks and step.name not in moved and then is not None and then.outcome() is Outcome.DEFERRED
        for step, then, _ in messages
    )
    left = (
        now.kind_of(copy) is not Outcome.DELIVERED_AUTHENTICATED
        for _, _, now in messages
        if now is not None
        for event, copy in now.copies()
        if event.step in moved and view.policies_have_ended(event.at)
    )
    return held and any(left)
