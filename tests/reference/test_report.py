"""The text of a report, correct and with each of its flaws."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report import build_report
from mta_sts_lab.reference.report_counts import NO_POLICY

from tests.reference.reports import DAY_BEGINS, a_day, copied

TYPES = ("starttls-not-supported", "certificate-not-trusted")


def text(**flaws: bool) -> Any:
    return json.loads(build_report(a_day(*TYPES), "sender.example", Flaws(**flaws)).text)


def test_a_report_says_what_was_counted() -> None:
    failure = {
        "sending-mta-ip": "198.18.2.1",
        "receiving-mx-hostname": "mx.there.example",
        "receiving-ip": "198.18.1.1",
        "failed-session-count": 1,
        "failure-reason-code": "why",
    }
    assert text() == {
        "organization-name": "mta-sts-lab reference sender",
        "date-range": {"start-datetime": "2026-03-01T00:00:00Z", "end-datetime": "2026-03-01T23:59:59Z"},
        "contact-info": "tls-reports@sender.example",
        "report-id": "0123456789abcdef@sender.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": ["version: STSv1", "mode: enforce", "mx: mx.there.example", "max_age: 99"],
                    "policy-domain": "there.example",
                    "mx-host": ["mx.there.example"],
                },
                "summary": {"total-successful-session-count": 2, "total-failure-session-count": 2},
                "failure-details": [{"result-type": one, **failure} for one in TYPES],
            }
        ],
    }


def test_a_domain_without_policy_has_nothing_to_quote() -> None:
    [block] = json.loads(build_report(a_day(policy=NO_POLICY), "sender.example").text)["policies"]
    assert block["policy"] == {"policy-type": "no-policy-found", "policy-domain": "there.example"}
    assert "failure-details" not in block


def test_packed_and_named() -> None:
    report = build_report(a_day(), "sender.example")
    assert gzip.decompress(report.packed) == report.text
    assert (
        report.file_name == f"sender.example!there.example!{DAY_BEGINS}!{DAY_BEGINS + 86399}!0123456789abcdef.json.gz"
    )


def _policy(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda report: change(report["policies"][0]["policy"])


def _failures(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda report: [change(one) for one in report["policies"][0]["failure-details"]]


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "writes_null_contact": lambda report: report.update({"contact-info": None}),
    "ends_day_at_24": lambda report: report["date-range"].update({"end-datetime": "2026-03-01T24:00:00Z"}),
    "writes_times_without_zone": lambda report: report.update(
        {"date-range": {"start-datetime": "2026-03-01T00:00:00", "end-datetime": "2026-03-01T23:59:59"}}
    ),
    "writes_policies_as_object": lambda report: report.update(policies=report["policies"][0]),
    "writes_policy_string_as_string": _policy(
        lambda one: one.update({"policy-string": "\n".join(one["policy-string"])})
    ),
    "writes_mx_host_as_string": _policy(lambda one: one.update({"mx-host": "mx.there.example"})),
    "leaves_out_policy_string": _policy(lambda one: one.pop("policy-string")),
    "cuts_policy_string": _policy(lambda one: one["policy-string"].remove("mx: mx.there.example")),
    "names_mx_as_policy_domain": _policy(lambda one: one.update({"policy-domain": "mx.there.example"})),
    "names_wrong_result_type": lambda report: report["policies"][0]["failure-details"][0].update(
        {"result-type": "validation-failure"}
    ),
    "leaves_out_reason": lambda report: report["policies"][0]["failure-details"][1].pop("failure-reason-code"),
    "counts_too_high": _failures(lambda one: one.update({"failed-session-count": 1000})),
    "counts_zero": _failures(lambda one: one.update({"failed-session-count": 0})),
}


@pytest.mark.parametrize("flaw", CHANGES)
def test_a_flaw_of_the_text_changes_just_that(flaw: str) -> None:
    expected = copied(text())
    CHANGES[flaw](expected)
    assert text(**{flaw: True}) == expected
    assert expected != text()
