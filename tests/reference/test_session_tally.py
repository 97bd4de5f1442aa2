"""What is counted: seen from the reports that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.reference.smtp_client import SmtpClient

from tests.reference.reports import ask
from tests.reference.standin import Internet, report_body, sender, settle
from tests.reference.test_session_flaws import spoil


async def reported(internet: Internet, directory: Path, messages: int = 1, **flaws: bool) -> list[dict[str, Any]]:
    """The policy blocks of the report about so many messages."""
    ask(internet)
    async with sender(internet, directory, **flaws) as target:
        for _ in range(messages):
            await settle(target)
        await target.reports()
    return [block for request in internet.reports.requests for block in report_body(request)["policies"]]


def told(blocks: list[dict[str, Any]]) -> list[tuple[str, int, int, list[tuple[str, int]]]]:
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
    assert told(await reported(internet, tmp_path, messages=2)) == [("sts", 2, 2, [("certificate-expired", 2)])]


async def test_flaw_counts_messages(internet: Internet, tmp_path: Path) -> None:
    two_hosts(internet)
    assert told(await reported(internet, tmp_path, messages=2, counts_messages=True)) == [("sts", 2, 0, [])]


@pytest.mark.parametrize("mode", ["enforce", "testing"])
async def test_flaw_counts_messages_keeps_the_failure_of_a_message_that_had_no_other_session(
    internet: Internet, tmp_path: Path, mode: str
) -> None:
    internet.publish(mode)
    spoil(internet, "stripped")
    blocks = await reported(internet, tmp_path, counts_messages=True)
    assert told(blocks) == [("sts", 0, 1, [("starttls-not-supported", 1)])]


@pytest.mark.parametrize("answer", ["450 later", "550 never"])
@pytest.mark.parametrize("mode", ["enforce", "testing", "none"])
async def test_a_message_refused_inside_good_tls_is_a_good_session(
    internet: Internet, tmp_path: Path, mode: str, answer: str
) -> None:
    internet.publish(mode)
    internet.mx1.answers["RCPT"] = answer
    policy_type = "no-policy-found" if mode == "none" else "sts"
    assert told(await reported(internet, tmp_path)) == [(policy_type, 1, 0, [])]


async def test_flaw_counts_failures_as_successes(internet: Internet, tmp_path: Path) -> None:
    internet.publish("testing")
    spoil(internet, "expired")
    assert told(await reported(internet, tmp_path, counts_failures_as_successes=True)) == [("sts", 1, 0, [])]


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
    assert told(blocks) == [("sts", 1, 0, []) if flawed else ("sts", 0, 1, [("validation-failure", 1)])]


@pytest.mark.parametrize("how", ["expired", "stripped"])
async def test_other_failures_stay_failures_with_that_flaw(internet: Internet, tmp_path: Path, how: str) -> None:
    internet.publish("enforce")
    spoil(internet, how)
    blocks = await reported(internet, tmp_path, counts_unfinished_handshakes_as_successes=True)
    assert [block[1:3] for block in told(blocks)] == [(0, 1)]


async def test_no_failure_is_tied_to_mode_none(internet: Internet, tmp_path: Path) -> None:
    internet.publish("none")
    spoil(internet, "stripped")
    assert await reported(internet, tmp_path) == []


async def test_without_any_policy_clear_text_is_a_failure(internet: Internet, tmp_path: Path) -> None:
    spoil(internet, "stripped")
    assert told(await reported(internet, tmp_path)) == [("no-policy-found", 0, 1, [("starttls-not-supported", 1)])]


@pytest.mark.parametrize(
    ("how", "result_type"), [("stripped", "starttls-not-supported"), ("expired", "certificate-expired")]
)
async def test_flaw_reports_failures_under_none(internet: Internet, tmp_path: Path, how: str, result_type: str) -> None:
    internet.publish("none")
    spoil(internet, how)
    blocks = await reported(internet, tmp_path, reports_failures_under_none=True)
    assert told(blocks) == [("sts", 0, 1, [(result_type, 1)])]


@pytest.mark.parametrize("how", ["stripped", "expired"])
async def test_flaw_testing_as_none_reports_no_failure(internet: Internet, tmp_path: Path, how: str) -> None:
    internet.publish("testing")
    spoil(internet, how)
    blocks = await reported(internet, tmp_path, testing_as_none=True)
    assert [block[2:] for block in told(blocks)] == [(0, [])] * len(blocks)


async def test_mail_in_clear_under_enforce_is_no_success(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    spoil(internet, "stripped")
    blocks = await reported(internet, tmp_path, sends_clear_without_starttls=True)
    assert told(blocks) == [("sts", 0, 1, [("starttls-not-supported", 1)])]
