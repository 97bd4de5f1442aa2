"""A case in which several days are reported on: each step that expects a report has to have one about its own time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from mta_sts_lab.events import Event, ReportReceived, ReportsAsked
from mta_sts_lab.judge import judge
from mta_sts_lab.judge.report_window import Day, TargetClock, Window
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.record import Record
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import load_shipped_catalogue

from tests.playing import play

CATALOGUE = load_shipped_catalogue()


def _without_reports(record: Record, step: str) -> Record:
    """Return a record without the reports of a step, and with two seconds more before each call for reports.

    What ends within a second before a call may be counted behind it.
    """
    events: list[Event] = []
    calls = 0
    for event in record.events:
        calls += isinstance(event.fact, ReportsAsked)
        if not (isinstance(event.fact, ReportReceived) and event.step == step):
            events.append(msgspec.structs.replace(event, at=event.at + 2.0 * calls))
    assert len(events) < len(record.events)
    return replace(record, events=tuple(events))


@pytest.mark.parametrize(
    ("case", "missing", "blamed"),
    [
        ("rpt-mail/two-days[enforce]", "first-report", "attack"),
        ("rpt-mail/two-days[enforce]", "second-report", "second-day"),
        ("rollout/in-order[enforce]", "clean-report", "wait"),
        ("rollout/in-order[enforce]", "recover", "attack"),
    ],
)
def test_the_report_of_another_day_does_not_stand_in(case: str, missing: str, blamed: str, tmp_path: Path) -> None:
    played = play(CATALOGUE, [CATALOGUE.cases[case]], tmp_path)
    assert [verdict.grade for verdict in played.verdicts if verdict.case == case] == [Grade.PASS]
    judged = judge(_without_reports(played.record, missing), load_requirements())
    (verdict,) = [verdict for verdict in judged if verdict.case == case]
    found = {(one.reason, one.step) for one in verdict.judgements if one.grade in (Grade.FAIL, Grade.WEAK)}
    assert found == {("no-report", blamed)}


def test_a_report_that_comes_late_is_about_the_day_that_it_names() -> None:
    clock = TargetClock(began=0.0, moves=((100.0, 86400.0, 100.0),))
    first, second = Day(0.0, 86400.0, clock), Day(86400.0, 172800.0, clock)
    late = Window(after=150.0, until=200.0, day=first)
    assert late.may_be_about(10.0, 20.0)
    assert not late.may_be_about(130.0, 140.0)
    assert not replace(late, day=second).may_be_about(10.0, 20.0)
    assert not replace(late, day=second).may_be_about(130.0, 140.0)  # it answers the second call of that day
    assert replace(late, day=second).may_be_about(155.0, 160.0)


def test_without_a_day_the_calls_say_what_a_report_may_be_about() -> None:
    window = Window(after=150.0, until=200.0)
    assert window.may_be_about(140.0, 160.0)
    assert not window.may_be_about(10.0, 20.0)


def test_a_step_that_lasts_for_days_is_in_each_of_them() -> None:
    clock = TargetClock(began=0.0, moves=((100.0, 5 * 86400.0, 100.0),))
    assert all(Day(day * 86400.0, (day + 1) * 86400.0, clock).touches(50.0, 150.0) for day in range(6))
