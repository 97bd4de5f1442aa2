"""The counters of reports, and what one delivery adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.reference import report_counts
from mta_sts_lab.reference.report_counts import NO_POLICY, AppliedPolicy, CountedDay, FailureKey, ReportCounts
from mta_sts_lab.reference.smtp_client import SmtpClient

from tests.reference.reports import DAY_BEGINS, ask
from tests.reference.standin import Internet, report_body, sender, settle
from tests.reference.test_session_flaws import spoil

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


async def reported(internet: Internet, directory: Path, messages: int = 1, **flaws: bool) -> list[dict[str, Any]]:
    """The policy blocks of the report about so many messages."""
    ask(internet)
    async with sender(internet, directory, **flaws) as target:
        for _ in range(messages):
            await settle(target)
        await target.reports()
    return [block for request in internet.reports.requests for block in report_body(request)["policies"]]


def sums_of(blocks: list[dict[str, Any]]) -> list[tuple[str, int, int, list[tuple[str, int]]]]:
    return [
        (
            block["policy"]["policy-type"],
            block["summary"]["total-successful-session-count"],
            block["summary"]["total-failure-session-count"],
            [(one["result-type"], one["failed-session-count"]) for one in block.get("failure-details", [])],
        )
        for block in blocks
    ]


def two_hosts(internet: Internet) -> None:
    """The first MX of the domain is spoiled, the second is good."""
    internet.dns.zone["there.example", "MX"] = ["10 mx1.there.example.", "20 mx2.there.example."]
    internet.publish("enforce", mx=("mx1.there.example", "mx2.there.example"))
    spoil(internet, "expired")


async def test_failed_and_good_sessions_of_one_message_count_both(internet: Internet, tmp_path: Path) -> None:
    two_hosts(internet)
    assert sums_of(await reported(internet, tmp_path, messages=2)) == [("sts", 2, 2, [("certificate-expired", 2)])]


async def test_flaw_counts_messages(internet: Internet, tmp_path: Path) -> None:
    two_hosts(internet)
    assert sums_of(await reported(internet, tmp_path, messages=2, counts_messages=True)) == [("sts", 2, 0, [])]


@pytest.mark.parametrize("mode", ["enforce", "testing"])
async def test_flaw_counts_messages_keeps_the_failure_of_a_message_that_had_no_other_session(
    internet: Internet, tmp_path: Path, mode: str
) -> None:
    internet.publish(mode)
    spoil(internet, "stripped")
    blocks = await reported(internet, tmp_path, counts_messages=True)
    assert sums_of(blocks) == [("sts", 0, 1, [("starttls-not-supported", 1)])]


@pytest.mark.parametrize("answer", ["450 later", "550 never"])
@pytest.mark.parametrize("mode", ["enforce", "testing", "none"])
async def test_a_message_refused_inside_good_tls_is_a_good_session(
    internet: Internet, tmp_path: Path, mode: str, answer: str
) -> None:
    internet.publish(mode)
    internet.mx1.answers["RCPT"] = answer
    policy_type = "no-policy-found" if mode == "none" else "sts"
    assert sums_of(await reported(internet, tmp_path)) == [(policy_type, 1, 0, [])]


async def test_flaw_counts_failures_as_successes(internet: Internet, tmp_path: Path) -> None:
    internet.publish("testing")
    spoil(internet, "expired")
    assert sums_of(await reported(internet, tmp_path, counts_failures_as_successes=True)) == [("sts", 1, 0, [])]


@pytest.fixture
def unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every handshake ends before it is finished."""
    from mta_sts_lab.reference.channel import HandshakeFailed

    async def broken(self: SmtpClient, *args: Any, **kwargs: Any) -> None:
        self.tls_attempted = True
        raise HandshakeFailed("the connection was closed", None)

    monkeypatch.setattr(SmtpClient, "start_tls", broken)


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize("flawed", [False, True])
async def test_an_unfinished_handshake_is_a_success_only_with_the_flaw(
    internet: Internet, tmp_path: Path, flawed: bool
) -> None:
    internet.publish("enforce")
    blocks = await reported(internet, tmp_path, counts_unfinished_handshakes_as_successes=flawed)
    assert sums_of(blocks) == [("sts", 1, 0, []) if flawed else ("sts", 0, 1, [("validation-failure", 1)])]


@pytest.mark.parametrize("how", ["expired", "stripped"])
async def test_other_failures_stay_failures_with_that_flaw(internet: Internet, tmp_path: Path, how: str) -> None:
    internet.publish("enforce")
    spoil(internet, how)
    blocks = await reported(internet, tmp_path, counts_unfinished_handshakes_as_successes=True)
    assert [block[1:3] for block in sums_of(blocks)] == [(0, 1)]


async def test_no_failure_is_tied_to_mode_none(internet: Internet, tmp_path: Path) -> None:
    internet.publish("none")
    spoil(internet, "stripped")
    assert await reported(internet, tmp_path) == []


async def test_without_any_policy_clear_text_is_a_failure(internet: Internet, tmp_path: Path) -> None:
    spoil(internet, "stripped")
    assert sums_of(await reported(internet, tmp_path)) == [("no-policy-found", 0, 1, [("starttls-not-supported", 1)])]


@pytest.mark.parametrize(
    ("how", "result_type"), [("stripped", "starttls-not-supported"), ("expired", "certificate-expired")]
)
async def test_flaw_reports_failures_under_none(internet: Internet, tmp_path: Path, how: str, result_type: str) -> None:
    internet.publish("none")
    spoil(internet, how)
    blocks = await reported(internet, tmp_path, reports_failures_under_none=True)
    assert sums_of(blocks) == [("sts", 0, 1, [(result_type, 1)])]


@pytest.mark.parametrize("how", ["stripped", "expired"])
async def test_flaw_testing_as_none_reports_no_failure(internet: Internet, tmp_path: Path, how: str) -> None:
    internet.publish("testing")
    spoil(internet, how)
    blocks = await reported(internet, tmp_path, testing_as_none=True)
    assert [block[2:] for block in sums_of(blocks)] == [(0, [])] * len(blocks)


async def test_mail_in_clear_under_enforce_is_no_success(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    spoil(internet, "stripped")
    blocks = await reported(internet, tmp_path, sends_clear_without_starttls=True)
    assert sums_of(blocks) == [("sts", 0, 1, [("starttls-not-supported", 1)])]
