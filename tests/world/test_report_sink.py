"""Reports: honest ones are understood, hostile ones survived."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.events import PolicyRequested, ReportReceived
from lab.record import Recorder
from lab.world.host import Ground
from lab.world.pki import Authority
from lab.world.report_sink import BadReport, ReportServer, read_report
from tests.world.clients import request, trusting
from tests.world.watching import facts

NAME = "reports.lab.example"
ADDRESS = "198.18.64.3"


def entry(domain: str, *results: str, failed: int = 0, successful: int = 0, kind: str = "sts") -> dict[str, Any]:
    return {
        "policy": {"policy-type": kind, "policy-domain": domain, "mx-host": ["mx1.c0ffee.example"]},
        "summary": {"total-successful-session-count": successful, "total-failure-session-count": failed},
        "failure-details": [{"result-type": result, "failed-session-count": 1} for result in results],
    }


def report(*entries: object) -> bytes:
    return json.dumps({"organization-name": "Target", "policies": entries}).encode()


def test_a_report_is_understood() -> None:
    content = report(
        entry("C0ffee.example.", "starttls-not-supported", "certificate-expired", failed=2, successful=1),
        entry("beef.example", successful=3, kind="no-policy-found"),
        entry("c0ffee.example", "starttls-not-supported", failed=1),
    )
    expected = (
        ReportReceived(
            transport="https",
            policy_domain="c0ffee.example",
            policy_types=("sts",),
            result_types=("starttls-not-supported", "certificate-expired"),
            successful_sessions=1,
            failed_sessions=3,
        ),
        ReportReceived(
            transport="https",
            policy_domain="beef.example",
            policy_types=("no-policy-found",),
            result_types=(),
            successful_sessions=3,
            failed_sessions=0,
        ),
    )
    assert read_report(content, packed=False) == expected
    assert read_report(gzip.compress(content), packed=True) == expected


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [{}],
        [None, 1, "x"],
        [{"policy": [], "summary": "x", "failure-details": {"result-type": "x"}}],
        [{"policy": {"policy-domain": 5}, "summary": {"total-failure-session-count": "many"}}],
        [{"summary": {"total-failure-session-count": -1, "total-successful-session-count": True}}],
        [{"summary": {"total-failure-session-count": 10**30}, "failure-details": [{"result-type": ["x"]}, 3]}],
    ],
)
def test_what_is_missing_or_of_another_kind_is_left_out(policies: list[object]) -> None:
    for fact in read_report(report(*policies), packed=False):
        assert (fact.policy_domain, fact.result_types, fact.failed_sessions, fact.successful_sessions) == ("", (), 0, 0)


@pytest.mark.parametrize(
    ("content", "packed", "why"),
    [
        (b"", False, "not JSON"),
        (b"[" * 100_000, False, "not JSON: RecursionError"),
        (b"[]", False, "no list of policies"),
        (b'{"policies": {}}', False, "no list of policies"),
        (b"\xff\xfe", False, "not JSON"),
        (b"1" * 10_000, False, "not JSON"),
        (b"{}", True, "not gzip"),
        (b"", True, "cut short"),
        (gzip.compress(report())[:-9], True, "cut short"),
        (gzip.compress(b"0" * 5_000_000), True, "unpacks to more than"),
        (gzip.compress(b" " * 100_000 + report()), True, "unpacks to more than"),
    ],
)
def test_what_is_no_report_is_refused(content: bytes, packed: bool, why: str) -> None:
    with pytest.raises(BadReport, match=why):
        read_report(content, packed)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["policies", "policy", "summary", "failure-details", "result-type", "policy-domain"]), inner)))  # fmt: skip
def test_any_json_is_survived(value: object) -> None:
    for content in (json.dumps(value).encode(), report(value), report({"policy": value, "failure-details": [value]})):
        try:
            read_report(content, packed=False)
        except BadReport:
            continue


@pytest.fixture
async def server(ground: Ground) -> AsyncIterator[ReportServer]:
    server = ReportServer(ground, NAME, ADDRESS, lambda domain: {"c0ffee.example": "a/b[testing]"}.get(domain, ""))
    server.reachable = True
    yield server
    await server.close()


async def post(ground: Ground, authority: Authority, kind: str, body: bytes, method: str = "POST") -> int:
    where = ground.network.where(ADDRESS, 443)
    headers = (f"Content-Type: {kind}",)
    return (await request(where, NAME, trusting(authority), "/v1/tlsrpt", method, headers, body))[0]


@pytest.mark.usefixtures("server")
async def test_a_posted_report_belongs_to_its_domains_case(
    ground: Ground, recorder: Recorder, authority: Authority
) -> None:
    content = report(entry("c0ffee.example", "validation-failure", failed=1), entry("unknown.example"))
    assert await post(ground, authority, "application/tlsrpt+gzip", gzip.compress(content)) == 201
    assert await post(ground, authority, "application/tlsrpt+json", content) == 201
    found = facts(recorder, ReportReceived, "a/b[testing]")
    assert [fact.result_types for fact in found] == [("validation-failure",), ("validation-failure",)]
    assert [fact.policy_domain for fact in facts(recorder, ReportReceived)] == ["unknown.example"] * 2
    assert facts(recorder, PolicyRequested) == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("kind", "method", "body", "status"),
    [
        ("application/json", "POST", b"{}", 415),
        ("application/tlsrpt+json", "PUT", b"{}", 405),
        ("application/tlsrpt+json", "POST", b"{", 400),
        ("application/tlsrpt+gzip", "POST", b"{}", 400),
        ("application/tlsrpt+json", "POST", b" " * 2_000_000, 413),
    ],
)
async def test_what_is_refused(
    ground: Ground, recorder: Recorder, authority: Authority, kind: str, method: str, body: bytes, status: int
) -> None:
    assert await post(ground, authority, kind, body, method) == status
    assert facts(recorder, ReportReceived) == []
