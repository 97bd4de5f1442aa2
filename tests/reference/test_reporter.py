from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.reference.standin import MX1, Internet, report_body, sender, settle
from tests.reference.test_session_flaws import spoil


def ask_for_reports(internet: Internet, rua: str = "https://reports.there.example/v1/tls") -> None:
    internet.dns.zone["_smtp._tls.there.example", "TXT"] = [f'"v=TLSRPTv1; rua={rua};"']


async def test_a_clean_day_is_a_report_without_failures(internet: Internet, tmp_path: Path) -> None:
    ask_for_reports(internet)
    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        await settle(target)
        await settle(target)
        await target.reports()
        await target.reports()
    [request] = internet.reports.requests
    line, headers, _ = request
    assert line == "POST /v1/tls HTTP/1.1"
    assert headers["content-type"] == "application/tlsrpt+gzip"
    report = report_body(request)
    day = report["date-range"]["start-datetime"][:10]
    assert report["date-range"] == {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"}
    assert re.fullmatch(r"[^@]+@sender\.example", report["contact-info"])
    assert report["policies"] == [
        {
            "policy": {
                "policy-type": "sts",
                "policy-domain": "there.example",
                "policy-string": [
                    "version: STSv1",
                    "mode: enforce",
                    "mx: mx1.there.example",
                    "max_age: 604800",
                ],
                "mx-host": ["mx1.there.example"],
            },
            "summary": {"total-successful-session-count": 2, "total-failure-session-count": 0},
        }
    ]


TYPES = {
    "untrusted": "certificate-not-trusted",
    "self-signed": "certificate-not-trusted",
    "wrong-name": "certificate-host-mismatch",
    "expired": "certificate-expired",
    "stripped": "starttls-not-supported",
    "refused": "starttls-not-supported",
}


@pytest.mark.parametrize("mode", ["enforce", "testing"])
@pytest.mark.parametrize("how", TYPES)
async def test_failures_are_reported_with_their_type(internet: Internet, tmp_path: Path, how: str, mode: str) -> None:
    ask_for_reports(internet)
    internet.publish(mode)
    spoil(internet, how)
    async with sender(internet, tmp_path) as target:
        await settle(target)
        await target.reports()
    [policy] = report_body(internet.reports.requests[0])["policies"]
    assert policy["policy"]["policy-type"] == "sts"
    assert policy["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    [details] = policy["failure-details"]
    assert details.pop("failure-reason-code")
    assert details == {
        "result-type": TYPES[how],
        "sending-mta-ip": "127.0.0.1",
        "receiving-mx-hostname": "mx1.there.example",
        "receiving-ip": MX1,
        "failed-session-count": 1,
    }


async def test_a_host_outside_the_policy_is_a_validation_failure(internet: Internet, tmp_path: Path) -> None:
    ask_for_reports(internet)
    internet.publish("enforce", mx=("other.example",))
    async with sender(internet, tmp_path) as target:
        await settle(target)
        await target.reports()
    assert _types(internet) == {"validation-failure"}


async def test_testing_as_none_reports_no_failure(internet: Internet, tmp_path: Path) -> None:
    ask_for_reports(internet)
    internet.publish("testing")
    spoil(internet, "untrusted")
    async with sender(internet, tmp_path, testing_as_none=True) as target:
        await settle(target)
        await target.reports()
    assert _types(internet) == set()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("status", "sts-policy-fetch-error"),
        ("body", "sts-policy-invalid"),
        ("certificate", "sts-webpki-invalid"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
async def test_fetch_failures(internet: Internet, tmp_path: Path, how: str, expected: str, cached: bool) -> None:
    ask_for_reports(internet)
    async with sender(internet, tmp_path) as target:
        if cached:
            internet.publish("enforce")
            await settle(target)
        internet.publish("enforce")
        if how == "status":
            internet.web.status = "503 No"
        elif how == "body":
            internet.web.body = b"nonsense"
        else:
            internet.web.context = internet.server_context("mta-sts.there.example", issuer=internet.other_ca)
        await settle(target)
        await target.reports()
    assert _types(internet) == {expected}
    [policy] = report_body(internet.reports.requests[0])["policies"]
    assert policy["policy"]["policy-type"] == ("sts" if cached else "no-policy-found")


async def test_a_lost_record_is_reported_while_the_policy_is_cached(internet: Internet, tmp_path: Path) -> None:
    ask_for_reports(internet)
    async with sender(internet, tmp_path) as target:
        internet.publish("enforce")
        await settle(target)
        del internet.dns.zone["_mta-sts.there.example", "TXT"]
        await settle(target)
        await target.reports()
    assert _types(internet) == {"sts-policy-fetch-error"}


async def test_mode_none_reports_no_failure(internet: Internet, tmp_path: Path) -> None:
    ask_for_reports(internet)
    async with sender(internet, tmp_path) as target:
        internet.publish("none")
        await settle(target)
        internet.publish("none")
        internet.web.status = "503 No"
        await settle(target)
        await target.reports()
    assert _types(internet) == set()


async def test_a_report_that_was_not_taken_is_kept(internet: Internet, tmp_path: Path) -> None:
    ask_for_reports(internet, "https://127.0.0.1/,https://reports.there.example/a")
    internet.reports.status = "500 No"
    async with sender(internet, tmp_path) as target:
        await settle(target)
        assert await target.sender.send_reports() == 0
        internet.reports.status = "201 Created"
        assert await target.sender.send_reports() == 0, "nothing hurries it"
        await target.advance(301)
        assert await target.sender.send_reports() == 1
        assert await target.sender.send_reports() == 0
    first, second = (report_body(request) for request in internet.reports.requests)
    assert first == second
    [policy] = second["policies"]
    assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "there.example"}
    assert policy["summary"]["total-successful-session-count"] == 1


async def test_a_domain_without_a_record_gets_none(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        await settle(target)
        assert await target.sender.send_reports() == 0
    assert internet.reports.requests == []


def _types(internet: Internet) -> set[str]:
    [request] = internet.reports.requests
    return {
        details["result-type"]
        for policy in report_body(request)["policies"]
        for details in policy.get("failure-details", [])
    }
