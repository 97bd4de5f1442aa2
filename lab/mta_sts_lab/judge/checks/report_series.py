"""Checks of several TLS reports together: how many a day has, their identifiers, and retries of refused ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from mta_sts_lab.events import ReportsAsked, ReportsLeft, TargetRestarted
from mta_sts_lab.judge.arrivals import Arrival, about_the_case, arrivals
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.reports import CAPABILITY, comparable
from mta_sts_lab.judge.report_window import DAY, clock_of
from mta_sts_lab.judge.view import CaseView, numbers
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.rfc.published import ReportPlaces

#: What a report that is sent again, or too often, breaks.
ONE_REPORT_A_DAY = "RPT-4.1-01"
UNIQUE_ID = "RPT-4.4-05"
SAME_ID_AGAIN = "RPT-5.3-10"
GROWING_PAUSES = "RPT-5.5-02"
TRIED_FOR_A_DAY = "RPT-5.5-01"
NO_REPORT_ON_REPORTS = "RPT-3-09"

#: Pauses between attempts that it takes to tell even ones from growing ones: the lab sees only that an attempt was made
#: between two of its calls, so that two pauses can look alike by chance.
_FEWEST_PAUSES = 3

#: The clock runs on while the lab moves it: an even pause is seen to be longer by some tenths of a second.
_HARDLY_LONGER = 1.05


@check(scope=Scope.CASE, obligations=(ONE_REPORT_A_DAY,))
def one_report_a_day(view: CaseView) -> Iterator[Judgement]:
    """Between two calls for reports a day has one report, however many places get a copy of it."""
    days: dict[tuple[object, ...], dict[str, Arrival]] = {}
    for arrival in _all_about(view):
        if arrival.report_id:
            days.setdefault((*arrival.day, arrival.window.asked), {}).setdefault(arrival.report_id, arrival)
    for same_day in days.values():
        if len(same_day) > 1:
            yield _broken(
                view,
                "two-reports-for-a-day",
                ONE_REPORT_A_DAY,
                "one report about one day",
                f"{len(same_day)} reports: {', '.join(same_day)}",
                list(same_day.values()),
            )


@check(scope=Scope.CASE, obligations=(UNIQUE_ID,))
def unique_report_id(view: CaseView) -> Iterator[Judgement]:
    """Reports on different days have different identifiers."""
    by_id: dict[str, dict[tuple[float | str, float | str], Arrival]] = {}
    for arrival in _all_about(view):
        if arrival.report_id:
            by_id.setdefault(arrival.report_id, {}).setdefault(arrival.day, arrival)
    for identifier, days in by_id.items():
        if len(days) > 1:
            yield _broken(
                view,
                "id-used-twice",
                UNIQUE_ID,
                "an identifier of its own for each report",
                f"{identifier} for {len(days)} days",
                list(days.values()),
            )


@check(scope=Scope.CASE, obligations=(SAME_ID_AGAIN,))
def resent_report_keeps_id(view: CaseView) -> Iterator[Judgement]:
    """A report that was refused comes again under its own identifier, by which its readers know it."""
    days: dict[tuple[float | str, float | str], list[Arrival]] = {}
    for arrival in _all_about(view):
        if arrival.report_id:
            days.setdefault(arrival.day, []).append(arrival)
    for same_day in days.values():
        first, *later = same_day
        again = {arrival.report_id for arrival in later}
        if not first.taken and again and first.report_id not in again:
            yield _broken(
                view,
                "sent-again-under-another-id",
                SAME_ID_AGAIN,
                f"{first.report_id} again",
                ", ".join(sorted(again)),
                same_day,
            )


@check(scope=Scope.CASE, obligations=(TRIED_FOR_A_DAY,))
def taken_report_comes_once(view: CaseView) -> Iterator[Judgement]:
    """A place that has taken a report does not get it again later: only a failed delivery is tried again.

    Copies that come at one time are one report. A target that was ended in the meantime may not have written down that
    the report was taken, and one that has not read the reply to its mail has to send it again (RFC 5321, 4.5.4.1).
    """
    calls = [event.at for event, _ in view.of_run.of_kind(ReportsAsked)]
    restarts = [event.at for event, _ in view.of_run.of_kind(TargetRestarted)]

    def between(one: Arrival, other: Arrival, times: list[float]) -> bool:
        return any(one.event.at < at < other.event.at for at in times)

    taken: dict[tuple[str, str], Arrival] = {}
    for arrival in _all_about(view):
        key = arrival.place, arrival.report_id
        first = taken.get(key)
        if first is not None and between(first, arrival, calls) and not between(first, arrival, restarts):
            expected, observed = "no further copy of a report that was taken", arrival.described()
            yield _broken(view, "sent-again-when-taken", TRIED_FOR_A_DAY, expected, observed, [first, arrival])
            return
        if arrival.taken and arrival.report_id and _reply_read(view, arrival):
            taken.setdefault(key, arrival)


def _reply_read(view: CaseView, arrival: Arrival) -> bool:
    """Whether nothing shows that the target may not know that a report was taken. Of HTTP the record has no more."""
    session = arrival.fact.session
    return arrival.fact.transport == "https" or any(
        facts.went_on(session, arrival.event) for facts in (view.facts, view.of_run)
    )


@check(scope=Scope.CASE, obligations=(GROWING_PAUSES,))
def report_retry_pauses_grow(view: CaseView) -> Iterator[Judgement]:
    """A refused report is retried after growing pauses (RFC 8460, section 5.5), by the target's own clock.

    A longer pause shows in few attempts, too: the lab sees each pause rounded up to its next call, and that makes no
    even one longer than the first. Even pauses take more attempts; in a case that is about them, too few prove nothing.
    """
    clock = clock_of(view)
    places: dict[tuple[object, ...], list[Arrival]] = {}
    for arrival in _all_about(view):
        places.setdefault((*arrival.day, arrival.place), []).append(arrival)
    for attempts in places.values():
        refused = [arrival for arrival in attempts if not arrival.taken]
        if clock is None or not (refused or _watches_the_pauses(view)):
            continue
        times = [clock.passed(arrival.event.at) for arrival in refused]
        pauses = [late - early for early, late in pairwise(times)]
        observed = f"pauses of {', '.join(f'{pause:.0f} s' for pause in pauses)}" if pauses else "no pause"
        if len(refused) > _FEWEST_PAUSES and _paced_by_the_calls(view, refused):
            yield _recorded(view, "every-call-made-an-attempt", observed, refused)
        elif pauses and max(pauses) > pauses[0] * _HARDLY_LONGER:
            continue
        elif len(refused) > _FEWEST_PAUSES:
            yield _broken(
                view, "pauses-do-not-grow", GROWING_PAUSES, "each pause longer than the last", observed, refused
            )
        elif _watches_the_pauses(view):
            few = f"{len(refused)} refused attempts, {observed}"
            yield replace(_recorded(view, "too-few-attempts", few, attempts), grade=Grade.INCONCLUSIVE)


@check(scope=Scope.CASE, obligations=(TRIED_FOR_A_DAY,))
def report_retry_ends(view: CaseView) -> Iterator[Judgement]:
    """A refused report is retried for at most a day (RFC 8460, section 5.5), by the target's own clock.

    The lab moves that clock in leaps, and an attempt that fell due on the way may still be made behind one. So the day
    counts as over when the target has answered a call for reports behind it. Where the clock is only the calendar of a
    reporter, each call makes attempts of its own, and proves nothing about them.
    """
    clock = clock_of(view)
    if clock is None or view.about.reports_end_the_day:
        return
    reports: dict[tuple[object, ...], list[Arrival]] = {}
    for arrival in _all_about(view):
        if arrival.report_id:
            reports.setdefault((arrival.report_id, *arrival.day, arrival.place), []).append(arrival)
    answered = [event.at for event, _ in view.of_run.of_kind(ReportsLeft)]
    for first, *later in reports.values():
        began = clock.passed(first.event.at)
        over = next((at for at in answered if clock.passed(at) > began + DAY), math.inf)
        late = [arrival for arrival in later if arrival.event.at > over]
        if late and not first.taken:
            after = (clock.passed(late[-1].event.at) - began) / 3600
            yield _broken(
                view,
                "still-tried-after-a-day",
                TRIED_FOR_A_DAY,
                "no attempt later than 24 hours after the first",
                f"an attempt after {after:.0f} hours",
                [first, *late],
            )


def _watches_the_pauses(view: CaseView) -> bool:
    """Whether a case calls for reports so often that it can only be about the pauses between the attempts."""
    return sum(step.reports for step in view.case.steps) > _FEWEST_PAUSES + 1


def _paced_by_the_calls(view: CaseView, attempts: list[Arrival]) -> bool:
    """Whether each call for reports brought an attempt with it: then the pauses between them are the lab's own."""
    times = [arrival.event.at for arrival in attempts]
    calls = [event.at for event, _ in view.of_run.of_kind(ReportsAsked)]
    between = [at for at in calls if times[0] < at < times[-1]]
    ends = [*between[1:], times[-1]]
    return bool(between) and all(any(call < at <= end for at in times) for call, end in zip(between, ends, strict=True))


def _recorded(view: CaseView, reason: str, observed: str, found: list[Arrival]) -> Judgement:
    return Judgement(
        Grade.INFO,
        reason,
        obligation=GROWING_PAUSES,
        step=found[0].event.step,
        expected="attempts by the target's own schedule",
        observed=observed,
        evidence=numbers([arrival.event for arrival in found]),
    )


@check(scope=Scope.CASE, obligations=(NO_REPORT_ON_REPORTS,))
def no_report_on_report_mail(view: CaseView) -> Iterator[Judgement]:
    """The domain of the report mailbox gets no mail but reports: a report about it counts their sessions."""
    mail_domain = ReportPlaces(view.facts.domain).mail_domain
    about = [arrival for arrival in arrivals(view) if arrival.is_about(mail_domain)]
    if about and comparable(view):
        yield _broken(
            view,
            "report-on-reports",
            NO_REPORT_ON_REPORTS,
            "no report about the domain of the report mailbox",
            about[0].described(),
            about,
        )


def _all_about(view: CaseView) -> tuple[Arrival, ...]:
    return about_the_case(view) if comparable(view) else ()


def _broken(
    view: CaseView, reason: str, obligation: str, expected: str, observed: str, found: list[Arrival]
) -> Judgement:
    full = view.grade_of(obligation)
    graded = full if CAPABILITY in view.case.needs else Grade.INFO
    return Judgement(
        graded,
        reason,
        obligation=obligation,
        step=found[0].event.step,
        expected=expected,
        observed=observed,
        blame="target" if graded is not Grade.INFO else "nobody",
        evidence=numbers([arrival.event for arrival in found]),
    )
