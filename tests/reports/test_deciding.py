"""Verdicts while a run goes on."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from mta_sts_lab.events import CaseEnded, LabUnhealthy
from mta_sts_lab.judge import judge
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.deciding import Deciding
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import load_shipped_catalogue

from tests.reports.records import strip_record


def without_reports() -> Record:
    """The record of a target that claims to send no reports."""
    record = strip_record()
    about = replace(record.header.about, capabilities=("mta-sts",))
    return replace(record, header=msgspec.structs.replace(record.header, about=about))


def told_while_it_runs(record: Record) -> list[tuple[Verdict, int]]:
    """Return the verdicts in the order in which they were told, and the event by which."""
    found: list[tuple[Verdict, int]] = []
    now = 0
    cases = [case.id for case in record.header.cases]
    deciding = Deciding(record.header, cases, (), load_requirements(), lambda verdict, _: found.append((verdict, now)))
    for event in record.events:
        now = event.number
        deciding.event(event)
    return found


def test_each_verdict_is_that_of_the_whole_record() -> None:
    record = without_reports()
    told = told_while_it_runs(record)
    whole = {verdict.case: verdict for verdict in judge(record, load_requirements())}
    assert len(told) == len(whole) > 2
    for verdict, _ in told:
        assert (verdict.grade, verdict.judgements) == (whole[verdict.case].grade, whole[verdict.case].judgements)


def test_they_come_in_the_order_of_cases_when_the_control_case_has_ended() -> None:
    record = without_reports()
    ended = {event.case: event.number for event in record.events if isinstance(event.fact, CaseEnded)}
    cases = {case.id: case for case in record.header.cases}
    told = told_while_it_runs(record)
    assert [verdict.case for verdict, _ in told] == list(cases)
    at = 0
    for verdict, number in told:
        needed = max(ended[verdict.case], ended.get(cases[verdict.case].control, 0))
        at = max(at, needed)
        assert number == at, "not before all is there, and not later than its turn"


def test_a_case_that_has_not_ended_is_not_told() -> None:
    record = without_reports()
    last = record.header.cases[0].id
    events = tuple(
        one for one in record.events if one.case != last or not isinstance(one.fact, CaseEnded | LabUnhealthy)
    )
    assert told_while_it_runs(Record(record.header, events, record.footer)) == []


def test_cases_that_expect_reports_are_left_to_the_end() -> None:
    record = strip_record()
    about = replace(record.header.about, capabilities=("mta-sts", "tls-rpt"))
    cases = tuple(load_shipped_catalogue().cases[case.id] for case in record.header.cases)
    claiming = replace(record, header=msgspec.structs.replace(record.header, about=about, cases=cases))
    told = {verdict.case for verdict, _ in told_while_it_runs(claiming)}
    assert told == {case.id for case in cases if not case.is_about_reports}
    assert 0 < len(told) < len(cases)
