"""A case in which several days are reported on: each step that expects a report has to have one about its own time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from mta_sts_lab.events import ReportReceived
from mta_sts_lab.judge import judge
from mta_sts_lab.judge.report_window import Day, TargetClock, Window
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.record import Record
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import load_shipped_catalogue

from tests.playing import play

CATALOGUE = load_shipped_catalogue()


def _without_reports(record: Record, step: str) -> Record:
    events = tuple(one for one in record.events if not (isinstance(one.fact, ReportReceived) and one.step == step))
    assert len(events) < len(record.events)
    return replace(record, events=events)


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


def test_a_report_that_comes_late_is_about_the_day_that_it_names(tmp_path: Path) -> None:
    """The first day's report answers the second call, and the second day has none."""
    case = "rpt-mail/two-days[enforce]"
    record = play(CATALOGUE, [CATALOGUE.cases[case]], tmp_path).record
    first = [one.fact for one in record.events if isinstance(one.fact, ReportReceived) and one.step == "first-report"]
    late = iter(first)
    events = [
        msgspec.structs.replace(one, fact=next(late))
        if isinstance(one.fact, ReportReceived) and one.step == "second-report"
        else one
        for one in _without_reports(record, "first-report").events
    ]
    judged = judge(replace(record, events=tuple(events)), load_requirements())
    (verdict,) = [verdict for verdict in judged if verdict.case == case]
    arrives = {(one.reason, one.step) for one in verdict.judgements if one.check == "report-arrives"}
    assert arrives == {("reported", "attack"), ("no-report", "second-day")}


def test_without_a_day_the_calls_say_what_a_report_may_be_about() -> None:
    window = Window(after=150.0, until=200.0)
    assert window.may_be_about(140.0, 160.0)
    assert not window.may_be_about(10.0, 20.0)


def test_a_step_that_lasts_for_days_is_in_each_of_them() -> None:
    clock = TargetClock(began=43200.0, moves=((100.0, 5 * 86400.0, 100.0),))
    touched = [Day(day * 86400.0, (day + 1) * 86400.0, clock).touches(50.0, 150.0) for day in range(-1, 7)]
    assert touched == [False, *[True] * 6, False]
