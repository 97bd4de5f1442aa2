from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.reference import report_counts
from mta_sts_lab.reference.report_counts import NO_POLICY, AppliedPolicy, CountedDay, FailureKey, ReportCounts

from tests.reference.reports import DAY_BEGINS

STS = AppliedPolicy("sts", ("version: STSv1",), ("mx.there.example",))
FAILURE = FailureKey("validation-failure", "mx.there.example", "198.18.1.1", "198.18.2.1", "why")


class Clock:
    def __init__(self) -> None:
        self.time = float(DAY_BEGINS)

    def __call__(self) -> float:
        return self.time


def counting(directory: Path, clock: Clock, zone_seconds: int = 0) -> ReportCounts:
    lines: list[str] = []
    counts = ReportCounts(directory, clock, lines.append, zone_seconds=zone_seconds)
    counts.load()
    assert lines == []
    return counts


def told(days: list[CountedDay]) -> list[tuple[int, str, int, int]]:
    return [
        (day.begins - DAY_BEGINS, day.domain, one.successful, one.failed)
        for day in days
        for one in day.policies.values()
    ]


def test_days_and_policies_are_kept_apart(tmp_path: Path) -> None:
    clock = Clock()
    counts = counting(tmp_path, clock)
    counts.succeeded("a.example", STS)
    counts.succeeded("a.example", NO_POLICY)
    clock.time += 86399.9
    counts.failed("a.example", STS, FAILURE)
    clock.time += 0.1
    counts.succeeded("a.example", STS)
    days = counts.take()
    assert told(days) == [(0, "a.example", 1, 1), (0, "a.example", 1, 0), (86400, "a.example", 1, 0)]
    assert [day.ends - day.begins for day in days] == [86399, 86399]
    assert counts.take() == []


def test_counters_survive_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    before = counting(tmp_path, clock)
    before.failed("a.example", STS, FAILURE)
    before.failed("a.example", STS, FAILURE)
    after = counting(tmp_path, clock)
    after.failed("a.example", STS, FAILURE)
    [day] = after.take()
    [(policy, counted)] = day.policies.items()
    assert policy == STS
    assert (counted.successful, counted.failed, dict(counted.failures)) == (0, 3, {FAILURE: 3})


def test_what_was_taken_is_still_there_after_a_kill_and_gone_once_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    first = counting(tmp_path, clock)
    first.succeeded("a.example", STS)
    [taken] = first.take()
    first.succeeded("a.example", STS)
    again = counting(tmp_path, clock)
    [merged] = again.take()
    assert told([merged]) == [(0, "a.example", 2, 0)]
    assert len(list(tmp_path.iterdir())) == 1
    again.forget(merged)
    first.forget(taken)
    assert counting(tmp_path, clock).take() == []


def test_an_unreadable_file_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"{")
    lines: list[str] = []
    counts = ReportCounts(tmp_path, Clock(), lines.append)
    counts.load()
    assert counts.take() == []
    assert "x.json cannot be read" in lines[0]


def test_hostile_variety_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_counts, "MOST_DAYS", 3)
    counts = counting(tmp_path, Clock())
    for number in range(5):
        counts.succeeded(f"d{number}.example", NO_POLICY)
    assert [day.domain for day in counts.take()] == ["d2.example", "d3.example", "d4.example"]
    assert len(list(tmp_path.iterdir())) == 3


def test_flaw_local_time_shifts_the_day(tmp_path: Path) -> None:
    clock = Clock()
    clock.time += 86400 - 3600
    counts = counting(tmp_path, clock, zone_seconds=7200)
    counts.succeeded("a.example", STS)
    assert told(counts.take()) == [(86400 - 7200, "a.example", 1, 0)]
