"""From a record to verdicts: every check looks at every case, and the worst word wins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from mta_sts_lab.events import Event, MessageAccepted, MessageInjected, TokenRead
from mta_sts_lab.judge.checks import dialogues, expectations, monitors, report_series, reports, soundness
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model import Case, Grade, Judgement, Outcome, Requirement, Step, StepResult, Verdict, merge
from mta_sts_lab.record import Record

#: Checks of a case as a whole.
CASE_CHECKS: tuple[Callable[[CaseView], Iterator[Judgement]], ...] = (
    soundness.the_lab_worked,
    soundness.the_case_was_played_to_its_end,
    soundness.the_target_offers_what_the_case_needs,
    soundness.the_target_was_restarted,
    soundness.the_target_took_every_message,
    soundness.the_honest_message_arrived,
    monitors.no_redirect_was_followed,
    dialogues.the_policy_is_asked_for_as_laid_down,
    dialogues.starttls_is_said_as_laid_down,
    monitors.no_message_arrived_twice,
    monitors.no_delivered_message_was_given_up,
    monitors.the_target_let_go_of_what_it_delivered,
    monitors.nothing_vanished_in_between,
    monitors.what_was_held_arrived,
    monitors.every_copy_was_untouched,
    reports.reports_could_be_asked_for,
    reports.the_target_reports,
    reports.the_report_is_well_made,
    reports.the_report_is_true,
    reports.the_report_names_the_day_of_its_sessions,
    reports.the_copies_of_a_report_say_the_same,
    report_series.a_day_has_one_report,
    report_series.every_report_has_an_id_of_its_own,
    report_series.a_report_sent_again_keeps_its_id,
    report_series.a_report_is_given_up_after_a_day,
    report_series.the_pauses_between_attempts_grow,
    report_series.no_report_is_about_report_mail,
)

#: Checks of each step with an expectation.
STEP_CHECKS: tuple[Callable[[CaseView, Step], Iterator[Judgement]], ...] = (
    soundness.the_target_used_this_cases_names,
    soundness.every_attack_fired,
    soundness.every_defect_was_met,
    soundness.the_arm_without_a_policy_is_sound,
    soundness.the_attack_bites_without_a_policy,
    soundness.the_message_settled,
    expectations.the_message_fared_as_demanded,
    expectations.the_policy_was_requested_as_often_as_demanded,
)

#: Checks of every step, expected or not.
EVERY_STEP_CHECKS: tuple[Callable[[CaseView, Step], Iterator[Judgement]], ...] = (
    monitors.no_message_was_read,
    monitors.no_envelope_in_clear,
    monitors.no_envelope_under_a_bad_certificate,
)


def judge(record: Record, requirements: Mapping[str, Requirement]) -> list[Verdict]:
    """Return a verdict on every case of a record, in the record's order of cases."""
    verdicts: dict[str, Verdict] = {}
    # The arms without a policy first: the others are compared with them.
    for view in sorted(views_of(record, requirements), key=lambda view: bool(view.case.control)):
        verdicts[view.case.id] = judge_case(replace(view, control_verdict=verdicts.get(view.case.control)))
    return [verdicts[case.id] for case in record.header.cases]


def views_of(record: Record, requirements: Mapping[str, Requirement]) -> list[CaseView]:
    """Return what the checks look at, case by case, in the record's order; nothing is judged yet."""
    retry = record.header.about.retry_seconds
    facts = {case.id: CaseFacts(case.id, events, retry) for case, events in _events_by_case(record)}
    of_run = CaseFacts("", [event for event in record.events if not event.case], retry)
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
    """Give each case its events, and what became of its messages at the hosts of other cases: a token is a token."""
    by_case: dict[str, list[Event]] = defaultdict(list)
    owner = {event.fact.token: event.case for event in record.events if isinstance(event.fact, MessageInjected)}
    for event in record.events:
        tokens: tuple[str, ...] = ()
        if isinstance(event.fact, MessageAccepted):
            tokens = event.fact.tokens
        elif isinstance(event.fact, TokenRead):
            tokens = (event.fact.token,)
        for concerned in dict.fromkeys([event.case, *(owner.get(token, "") for token in tokens)]):
            by_case[concerned].append(event)
    for case in record.header.cases:
        yield case, by_case[case.id]


def judge_case(view: CaseView) -> Verdict:
    """Return the verdict on one case."""
    lacking = [capability for capability in view.case.needs if capability not in view.about.capabilities]
    if lacking:
        return _unsupported(view, lacking)
    judgements = [judgement for check in CASE_CHECKS for judgement in check(view)]
    for step in view.case.steps:
        if step.expect is not None and view.offered(step):
            judgements += [judgement for check in STEP_CHECKS for judgement in check(view, step)]
        judgements += [judgement for check in EVERY_STEP_CHECKS for judgement in check(view, step)]
    began = view.facts.events[0].at if view.facts.events else 0.0
    return Verdict(
        case=view.case.id,
        grade=_word(view.case, judgements),
        steps=tuple(_step_result(view, step) for step in view.case.steps),
        judgements=tuple(judgements),
        began=began,
        ended=view.end,
        supporting=view.facts.supporting,
    )


def _unsupported(view: CaseView, lacking: list[str]) -> Verdict:
    """The case is about something that the target does not claim to do: it was not played."""
    told = Judgement(
        "the-target-claims-what-is-needed",
        Grade.UNSUPPORTED,
        "not-claimed",
        expected=", ".join(view.case.needs),
        observed=f"the target {_why_lacking(view, lacking)} {', '.join(lacking)}",
    )
    return Verdict(
        case=view.case.id,
        grade=Grade.UNSUPPORTED,
        steps=(),
        judgements=(told,),
        began=0.0,
        ended=0.0,
        supporting=view.facts.supporting,
    )


#: What a case is told in spite of a part that its target does not offer.
_FOUND = (Grade.FAIL, Grade.LAB_ERROR, Grade.WEAK)


def _why_lacking(view: CaseView, lacking: list[str]) -> str:
    return (
        "was played as a black box, and not asked about"
        if set(lacking) & set(view.about.set_aside)
        else "does not claim"
    )


def word_of(grades: Collection[Grade]) -> Grade:
    """Return what the grades of a case's judgements come to, were each step answered for."""
    if Grade.UNSUPPORTED in grades:
        # What was found before the part that is not offered stands; a doubt about the rest is no news.
        return merge([grade for grade in grades if grade in _FOUND] or [Grade.UNSUPPORTED])
    return merge(list(grades))


def _word(case: Case, judgements: list[Judgement]) -> Grade:
    """The worst judgement; but each step that demands something must also have been found good or bad."""
    demanding = {step.name for step in case.steps if step.expect is not None}
    answered = {judgement.step for judgement in judgements if judgement.check == soundness.FARED}
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
        detail = _in_words(outcome, read, expectations.why_held(view, message)[0])
    return StepResult(step.name, outcome, times[0], times[1], detail)


def _in_words(outcome: Outcome, read: bool, why: str) -> str:
    words = {
        Outcome.DELIVERED_AUTHENTICATED: "delivered to the right host, authenticated",
        Outcome.DELIVERED_UNAUTHENTICATED: "delivered under a certificate that proves nothing",
        Outcome.DELIVERED_CLEAR: "delivered in clear",
        Outcome.DEFERRED: f"held: {why}" if why else "held",
        Outcome.BOUNCED: "returned to its author",
        Outcome.LOST: "lost",
        Outcome.UNSETTLED: "neither delivered nor provably held",
    }[outcome]
    return f"{words}, and read on the way" if read and outcome.delivered else words
