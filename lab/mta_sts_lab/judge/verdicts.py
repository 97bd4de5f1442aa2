"""From a record to verdicts: every check looks at every case, and the worst grade is the verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cache

import msgspec

from mta_sts_lab.check_registry import check_id
from mta_sts_lab.events import (
    ClockAdvanced,
    Event,
    MessageAccepted,
    MessageInjected,
    ReportReceived,
    StepBegan,
    TokenRead,
)
from mta_sts_lab.judge.all_plays import Play, verdict_on_all
from mta_sts_lab.judge.checks import Scope, all_checks, checks_of
from mta_sts_lab.judge.checks.outcome import message_outcome
from mta_sts_lab.judge.checks.premises import CLOCK_NOT_SEEN, with_premises
from mta_sts_lab.judge.checks.reports import NO_REPORT_TO_ANYBODY
from mta_sts_lab.judge.clock_effect import clock_seen_to_move
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import belying_the_queue
from mta_sts_lab.judge.policies_in_force import PoliciesInForce
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.judge.why_held import why_held
from mta_sts_lab.model.case import Case, Step
from mta_sts_lab.model.grading import Grade, Outcome, Requirement, merge
from mta_sts_lab.model.verdict import Judgement, StepResult, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.tlsrpt import checks_of_the_run


def judge(record: Record, requirements: Mapping[str, Requirement]) -> list[Verdict]:
    """Return a verdict on every case of a record, in the record's order of cases."""
    plays: dict[str, list[Play]] = defaultdict(list)
    for run, views in _views_by_run(record, requirements):
        verdicts: dict[str, Verdict] = {}
        # The control cases first: the others are compared with them.
        for view in sorted(views, key=lambda view: bool(view.case.control)):
            verdicts[view.case.id] = _judged(replace(view, control_verdict=verdicts.get(view.case.control)))
        # A control case may be in several runs: the verdict is of the one in which it was selected, or of the last.
        for case, verdict in verdicts.items():
            if not verdict.control_only or all(play.verdict.control_only for play in plays[case]):
                plays[case].append(Play(run.header.run, verdict))
    return [verdict_on_all(plays[case.id]) for case in record.header.cases]


def rests_on_other_cases(verdict: Verdict) -> bool:
    """Whether a verdict may be another one once more cases of the same target are judged with it.

    What the target is seen to be like in any case counts in all: that its clock moves, that it sends reports, that its
    queue does not tell the truth.
    """
    found = verdict.judgements
    lost = any(step.outcome is Outcome.LOST for step in verdict.steps) or any("lost" in one.reason for one in found)
    return lost or any(one.reason in (CLOCK_NOT_SEEN, NO_REPORT_TO_ANYBODY) for one in found)


def views_of(record: Record, requirements: Mapping[str, Requirement]) -> list[CaseView]:
    """Return the input of the checks for each case, in the record's order."""
    found: dict[str, CaseView] = {}
    for _, views in _views_by_run(record, requirements):
        for view in views:
            before = found.get(view.case.id)
            if before is None or before.facts.control_only or not view.facts.control_only:
                found[view.case.id] = view
    return [found[case.id] for case in record.header.cases]


def _views_by_run(record: Record, requirements: Mapping[str, Requirement]) -> list[tuple[Record, list[CaseView]]]:
    """Return the runs of a record, which are about one target, and the input of the checks for the cases of each.

    What the target is seen to be like in any of the runs counts in all of them.
    """
    found = [(run, _views_of_run(run, requirements)) for run in record.runs()]
    views = [view for _, of_run in found for view in of_run]
    moves = any(isinstance(event.fact, ClockAdvanced) for event in record.events)
    clock_moved = not moves or clock_seen_to_move(views)
    sends_reports = any(isinstance(event.fact, ReportReceived) for event in record.events)
    belying = tuple(event for view in views for event in belying_the_queue(view.facts))

    def with_all(view: CaseView) -> CaseView:
        return replace(view, clock_seen_to_move=clock_moved, sends_reports=sends_reports, belying_the_queue=belying)

    return [(run, [with_all(view) for view in of_run]) for run, of_run in found]


def _views_of_run(record: Record, requirements: Mapping[str, Requirement]) -> list[CaseView]:
    retry = record.header.about.retry_seconds
    facts = {case.id: CaseFacts(case.id, events, retry) for case, events in _events_by_case(record)}
    of_run = CaseFacts("", [event for event in record.events if not event.case], retry)
    for case in record.header.cases:
        facts[case.id].in_force = PoliciesInForce(case, facts[case.id], of_run).for_session
    return [
        CaseView(
            case=case,
            facts=facts[case.id],
            of_run=of_run,
            control=facts.get(case.control) if case.control else None,
            control_verdict=None,
            requirements=requirements,
            about=record.header.about,
            clock_began=record.header.clock_began,
        )
        for case in record.header.cases
    ]


def _events_by_case(record: Record) -> Iterator[tuple[Case, list[Event]]]:
    """Give each case its events, and what became of its messages elsewhere: a token is a token.

    What happened at a host of another case, or of none, happened in the step that the message's own case was in.
    """
    by_case: dict[str, list[Event]] = defaultdict(list)
    owner = {event.fact.token: event.case for event in record.events if isinstance(event.fact, MessageInjected)}
    steps: dict[str, str] = {}
    for event in record.events:
        tokens: tuple[str, ...] = ()
        if isinstance(event.fact, StepBegan):
            steps[event.case] = event.step
        elif isinstance(event.fact, MessageAccepted):
            tokens = event.fact.tokens
        elif isinstance(event.fact, TokenRead):
            tokens = (event.fact.token,)
        for concerned in dict.fromkeys([event.case, *(owner.get(token, "") for token in tokens)]):
            step = event.step if concerned == event.case else steps.get(concerned, "")
            by_case[concerned].append(event if step == event.step else msgspec.structs.replace(event, step=step))
    for case in record.header.cases:
        yield case, by_case[case.id]


def _judged(view: CaseView) -> Verdict:
    """Return the verdict on one case: lab-error if the judge itself fails, so that the others are judged."""
    try:
        return judge_case(view)
    except Exception as error:  # noqa: BLE001 - it is the verdict
        failed = _failed(error, "judging the case")
        control_only = view.facts.control_only
        return Verdict(view.case.id, failed.grade, (), (failed,), 0.0, view.end, control_only=control_only)


def _failed(error: Exception, where: str, step: str = "") -> Judgement:
    """Return the judgement for an exception inside the judge."""
    return Judgement(
        Grade.LAB_ERROR,
        "check-failed",
        step=step,
        expected="no exception inside the lab",
        observed=f"{where}: {type(error).__name__}: {error}",
        blame="lab",
    )


def judge_case(view: CaseView) -> Verdict:
    """Return the verdict on one case."""
    unsupported = list(_run(Scope.SUPPORT, view))
    found = unsupported or list(with_premises(view, _judgements(view)))
    judgements = [one for one in found if not _is_of_the_run(view.case, one)]
    events = view.facts.events
    return Verdict(
        case=view.case.id,
        grade=_grade(view.case, judgements),
        steps=() if unsupported else tuple(_step_result(view, step) for step in view.case.steps),
        judgements=tuple(judgements),
        began=events[0].at if events and not unsupported else 0.0,
        ended=0.0 if unsupported else view.end,
        control_only=view.facts.control_only,
        of_the_run=tuple(one for one in found if _is_of_the_run(view.case, one)),
    )


def _is_of_the_run(case: Case, judgement: Judgement) -> bool:
    """Whether a judgement is a finding of the run, or a note like it, and no part of the case's verdict.

    So it is where its check finds what a target does alike in every case, and the scenario is not about it.
    """
    return (
        judgement.check in checks_of_the_run() | _own_checks_of_the_run()
        and judgement.grade in (Grade.FAIL, Grade.WEAK, Grade.INFO)
        and judgement.obligation not in case.requirements
    )


@cache
def _own_checks_of_the_run() -> frozenset[str]:
    return frozenset(one.id for one in all_checks() if one.of_the_run)


def _judgements(view: CaseView) -> Iterator[Judgement]:
    yield from _run(Scope.CASE, view)
    for step in view.case.steps[: 1 if view.ended_with_its_first_message() else None]:
        if step.expect is not None and view.offered(step):
            yield from _run(Scope.STEP, view, step)
        yield from _run(Scope.EVERY_STEP, view, step)


def _run(scope: Scope, *about: CaseView | Step) -> Iterator[Judgement]:
    """Yield what the checks of a scope find, each with the id of its check unless it brings one along."""
    for one in checks_of(scope):
        step = next((part.name for part in about if isinstance(part, Step)), "")
        try:
            for judgement in one.function(*about):
                yield judgement if judgement.check else replace(judgement, check=one.id)
        except Exception as error:  # noqa: BLE001 - it makes this case a lab error, and no other
            yield replace(_failed(error, f"the check {one.id}", step), check=one.id)


#: The grades that stand although the target does not offer a part that the case needs.
_FOUND = (Grade.FAIL, Grade.LAB_ERROR, Grade.WEAK)


def word_of(grades: Collection[Grade]) -> Grade:
    """Return what the grades of a case's judgements come to, were each step answered for."""
    if Grade.UNSUPPORTED in grades:
        # What was found before the part that is not offered stands; a doubt about the rest is no news.
        return merge([grade for grade in grades if grade in _FOUND] or [Grade.UNSUPPORTED])
    return merge(list(grades))


def _grade(case: Case, judgements: list[Judgement]) -> Grade:
    """The worst judgement; but each step that demands something must also have been found good or bad."""
    demanding = {step.name for step in case.steps if step.expect is not None}
    answered = {judgement.step for judgement in judgements if judgement.check == check_id(message_outcome)}
    grades = [judgement.grade for judgement in judgements]
    if Grade.UNSUPPORTED not in grades and (not demanding or not demanding <= answered):
        grades.append(Grade.INCONCLUSIVE)
    return word_of(grades)


def _step_result(view: CaseView, step: Step) -> StepResult:
    times = view.step_times(step.name) or (view.end, view.end)
    message = view.message(step)
    outcome = message.outcome() if message else None
    detail = ""
    if message and outcome:
        read = bool(message.readings(secured=False) or message.readings(secured=True))
        detail = _in_words(outcome, read, why_held(message)[0])
    return StepResult(step.name, outcome, times[0], times[1], detail)


def _in_words(outcome: Outcome, read: bool, why: str) -> str:
    words = {
        Outcome.DELIVERED_AUTHENTICATED: "delivered to the right host, authenticated",
        Outcome.DELIVERED_UNAUTHENTICATED: "delivered inside TLS, but not to an authenticated host",
        Outcome.DELIVERED_CLEAR: "delivered in clear",
        Outcome.DEFERRED: f"held: {why}" if why else "held",
        Outcome.BOUNCED: "returned to its author",
        Outcome.LOST: "lost",
        Outcome.UNSETTLED: "neither delivered nor provably held",
    }[outcome]
    return f"{words}, and read on the way" if read and outcome.delivered else words
