"""Smallest changes of the good report's JSON, and exactly what each has to be found guilty of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mta_sts_lab.model.grading import Grade

FAIL, WEAK, INFO = Grade.FAIL, Grade.WEAK, Grade.INFO


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change, and the findings that it has to make, and no others."""

    name: str
    change: Callable[[dict[str, Any]], object]
    found: frozenset[tuple[str, str, Grade]]

    def __str__(self) -> str:
        return self.name


def _member(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(report: dict[str, Any]) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in steps:
            report = report[step]
        report[last] = value

    return change


def _without(path: str) -> Callable[[dict[str, Any]], None]:
    def change(report: dict[str, Any]) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in steps:
            report = report[step]
        del report[last]

    return change


def _of(name: str, change: Callable[[dict[str, Any]], object], *found: tuple[str, str, Grade]) -> Mutation:
    return Mutation(name, change, frozenset(found))


def _set(path: str, value: Any, *found: tuple[str, str, Grade]) -> Mutation:
    return _of(f"{path}={value!r:.50}", _member(path, value), *found)


def _no(path: str, *found: tuple[str, str, Grade]) -> Mutation:
    return _of(f"no {path}", _without(path), *found)


P0, STS, F = "policies/0", "policies/0/policy", "policies/0/failure-details"
START, ENDS = "date-range/start-datetime", "date-range/end-datetime"
GOODS, BADS = "policies/0/summary/total-successful-session-count", "policies/0/summary/total-failure-session-count"

REQUIRED = (
    _no("organization-name", ("RPT-4.4-01", "missing", FAIL)),
    _set("organization-name", "", ("RPT-4.4-01", "empty", FAIL)),
    _set("organization-name", ["Sender"], ("RPT-4.4-01", "wrong-type", FAIL)),
    _no("date-range", ("RPT-4.4-02", "missing", FAIL)),
    _no(START, ("RPT-4.4-02", "missing", FAIL)),
    _set("date-range", "2026-03-02", ("RPT-4.4-02", "wrong-type", FAIL)),
    _no("contact-info", ("RPT-4.4-04", "missing", FAIL)),
    _set("contact-info", None, ("RPT-4.4-04", "null", FAIL)),
    _set("contact-info", "mailto:tls-reports@sender.example", ("RPT-4.4-04", "not-an-addr-spec", FAIL)),
    _set("contact-info", "Reports <tls-reports@sender.example>", ("RPT-4.4-04", "not-an-addr-spec", FAIL)),
    _set("contact-info", "sender.example", ("RPT-4.4-04", "not-an-addr-spec", FAIL)),
    _no("report-id", ("RPT-4.4-05", "missing", FAIL)),
    _set("report-id", " ", ("RPT-4.4-05", "empty", FAIL)),
    _no("policies", ("RPT-4-02", "missing", FAIL)),
    _set("policies", [], ("RPT-4-02", "no-policies", INFO)),
    _set("policies", "none", ("RPT-4-02", "not-an-array", FAIL)),
    _of("one policy as object", lambda r: r.update(policies=r["policies"][0]), ("RPT-4-02", "not-an-array", FAIL)),
    _of("a policy as text", lambda r: r["policies"].append("x"), ("RPT-4-02", "wrong-type", FAIL)),
)

DATES = (
    _set(ENDS, "2026-03-02T24:00:00Z", ("DT-5.6-01", "hour-above-23", FAIL)),
    _set(START, "2026-03-02T00:00:00", ("DT-5.6-01", "no-offset", FAIL)),
    _set(START, "2026-03-02 00:00:00Z", ("RPT-4.4-02", "blank-for-t", WEAK)),
    _set(START, "2026-03-02", ("RPT-4.4-02", "not-a-date-time", FAIL)),
    _set(START, "2026-02-30T00:00:00Z", ("RPT-4.4-02", "not-a-date-time", FAIL)),
    _set(START, 1772409600, ("RPT-4.4-02", "wrong-type", FAIL), ("RPT-4.4-02", "not-a-date-time", FAIL)),
    _set(ENDS, "2026-03-01T23:59:59Z", ("RPT-4.4-02", "range-runs-backwards", FAIL)),
    _set(ENDS, "2026-03-08T23:59:59Z", ("RPT-4.1-01", "range-not-one-day", WEAK)),
    _of(
        "a day of another zone",
        lambda r: r.update(
            {"date-range": {"start-datetime": "2026-03-02T00:00:00+01:00", "end-datetime": "2026-03-02T23:59:59+01:00"}}
        ),
        ("RPT-4.4-03", "range-not-utc-day", WEAK),
    ),
)

POLICY = (
    _no(STS, ("RPT-4.4-06", "missing", FAIL)),
    _no(f"{STS}/policy-type", ("RPT-4.4-06", "missing", FAIL)),
    _set(f"{STS}/policy-type", "STS", ("RPT-4.4-06", "unknown-policy-type", FAIL)),
    _no(f"{STS}/policy-domain", ("RPT-4.4-08", "missing", FAIL)),
    _no("policies/2/policy/policy-domain", ("RPT-4.4-08", "missing", FAIL)),
    _of(
        "an MTA-STS policy of another domain",
        lambda r: r["policies"].append(
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-domain": "victim.example",
                    "policy-string": ["version: STSv1", "mode: enforce", "mx: mx.victim.example", "max_age: 86400"],
                    "mx-host": ["mx.victim.example"],
                },
                "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0},
            }
        ),
        ("RPT-4.4-08", "another-domain", INFO),
    ),
    _set(f"{STS}/policy-domain", "a example", ("RPT-4.4-08", "not-a-domain", FAIL)),
    _set(f"{STS}/policy-domain", "bücher.example", ("RPT-4.4-09", "u-label", FAIL)),
    _set(
        f"{STS}/policy-string",
        "version: STSv1\nmode: testing\nmx: mx1.a.example\nmx: *.backup.a.example\nmax_age: 1",
        ("RPT-4.4-07", "string-for-array", FAIL),
    ),
    _set(f"{STS}/policy-string", None, ("RPT-4.4-07", "null", FAIL)),
    _of(
        "a line as number",
        lambda r: r["policies"][0]["policy"]["policy-string"].append(1),
        ("RPT-4.4-07", "wrong-type", FAIL),
    ),
    _of(
        "mx lines as an inner array",
        _member(
            f"{STS}/policy-string",
            ["version: STSv1", "mode: testing", ["mx: mx1.a.example", "mx: *.backup.a.example"], "max_age: 1"],
        ),
        ("RPT-4.5-03", "nested-array", FAIL),
    ),
    _of(
        "several mx in one line",
        _member(f"{STS}/policy-string/2", "mx: mx1.a.example, *.backup.a.example"),
        ("RPT-4.5-03", "several-mx-in-one-line", FAIL),
        ("RPT-4.4-10", "mx-host-not-the-policys", FAIL),
    ),
    _set(f"{STS}/policy-string/1", "mode: testing\r\n", ("RPT-4.5-02", "several-lines-in-one", FAIL)),
    _no(f"{STS}/policy-string/2", ("RPT-4.5-02", "mx-lines-missing", FAIL)),
    _no(f"{STS}/policy-string/4", ("RPT-4.5-02", "lines-missing", INFO)),
    _no(f"{STS}/mx-host", ("RPT-4.4-10", "mx-host-not-the-policys", FAIL)),
    _no(f"{STS}/mx-host/0", ("RPT-4.4-10", "mx-host-not-the-policys", FAIL)),
    _set(f"{STS}/mx-host", "mx1.a.example *.backup.a.example", ("RPT-4.4-10", "string-for-array", WEAK)),
    _set(f"{STS}/mx-host", None, ("RPT-4.4-10", "null", FAIL), ("RPT-4.4-10", "mx-host-not-the-policys", FAIL)),
    _of(
        "an mx in u-labels",
        lambda r: (
            _member(f"{STS}/mx-host/0", "bücher.example")(r),
            _member(f"{STS}/policy-string/2", "mx: bücher.example")(r),
        ),
        ("RPT-4.4-11", "u-label", FAIL),
    ),
    _no("policies/1/policy/policy-string", ("RPT-4.4-07", "policy-not-quoted", FAIL)),
    _set("policies/1/policy/policy-string", [], ("RPT-4.4-07", "policy-not-quoted", FAIL)),
    _set("policies/1/policy/policy-string/0", "3 1 1 ( 01 23 )", ("RPT-4.5-01", "not-a-tlsa-record", FAIL)),
    _set("policies/1/policy/policy-string/0", "3 1 1 0123 4567", ("RPT-4.5-01", "not-a-tlsa-record", FAIL)),
    _set(
        "policies/1/policy/policy-string/0",
        "_25._tcp.mx. IN TLSA 3 1 1 0123",
        ("RPT-4.5-01", "not-a-tlsa-record", FAIL),
    ),
    _set("policies/1/policy/policy-string/0", "256 1 1 0123", ("RPT-4.5-01", "not-a-tlsa-record", FAIL)),
    _set("policies/2/policy/policy-string", ["version: STSv1"], ("RPT-4.4-07", "policy-without-policy", INFO)),
    _of(
        "a block twice", lambda r: r["policies"].append(r["policies"][2]), ("RPT-4-06", "two-blocks-for-a-policy", INFO)
    ),
)

COUNTS = (
    _no(f"{P0}/summary", ("RPT-4.4-12", "missing", FAIL)),
    _no(GOODS, ("RPT-4.4-12", "missing", FAIL)),
    _no(BADS, ("RPT-4.4-13", "missing", FAIL)),
    _set(GOODS, "10", ("RPT-4.4-12", "wrong-type", FAIL)),
    _set(GOODS, True, ("RPT-4.4-12", "wrong-type", FAIL)),
    _set(GOODS, -1, ("RPT-4.4-12", "negative", FAIL)),
    _set(GOODS, 10.5, ("RPT-4.4-12", "not-an-integer", FAIL)),
    _set(GOODS, 10.0, ("RPT-4.4-12", "integer-with-fraction", INFO)),
    _set(BADS, None, ("RPT-4.4-13", "null", FAIL)),
    _set(f"{F}/0/failed-session-count", "2", ("RPT-4.4-19", "wrong-type", FAIL)),
    _no(f"{F}/0/failed-session-count", ("RPT-4.4-19", "missing", FAIL)),
    _of(
        "an entry of none",
        lambda r: (_member(f"{F}/0/failed-session-count", 0)(r), _member(BADS, 2)(r)),
        ("RPT-4.4-19", "zero-sessions", FAIL),
    ),
    _set(BADS, 1, ("RPT-4.2.2-01", "entry-above-total", INFO)),
    _set(BADS, 40, ("RPT-4.2.2-01", "total-above-entries", INFO)),
    _set(BADS, 0, ("RPT-4.2.2-01", "details-without-failures", FAIL)),
    _of(
        "only fetch errors, and no failures",
        lambda r: (_member(F, r["policies"][0]["failure-details"][2:])(r), _member(BADS, 0)(r)),
        ("RPT-4.2.2-01", "details-without-failures", INFO),
    ),
    _no(F, ("RPT-4-05", "failures-without-details", FAIL)),
    _set(F, [], ("RPT-4-05", "failures-without-details", FAIL)),
    _set(F, None, ("RPT-4-05", "null", FAIL)),
    _set(GOODS, 2**53 + 2, ("IJ-2.2-01", "number-beyond-double", WEAK)),
)

FAILURES = (
    _of(
        "one failure as object",
        lambda r: (_member(F, r["policies"][0]["failure-details"][0])(r), _member(BADS, 2)(r)),
        ("RPT-4-05", "not-an-array", FAIL),
    ),
    _of(
        "a failure as text", lambda r: r["policies"][0]["failure-details"].append("x"), ("RPT-4-05", "wrong-type", FAIL)
    ),
    _no(f"{F}/0/result-type", ("RPT-4.4-14", "missing", FAIL)),
    _set(f"{F}/0/result-type", "starttls-unsupported", ("RPT-4.4-14", "unknown-result-type", FAIL)),
    _set(f"{F}/0/result-type", ["starttls-not-supported"], ("RPT-4.4-14", "wrong-type", FAIL)),
    _set(f"{F}/2/result-type", "tlsa-invalid", ("RPT-4.4-14", "result-type-for-another-policy", INFO)),
    _no(f"{F}/0/sending-mta-ip", ("RPT-4.4-15", "missing", FAIL)),
    _set(f"{F}/0/sending-mta-ip", "", ("RPT-4.4-15", "missing", FAIL)),
    _set(f"{F}/0/sending-mta-ip", None, ("RPT-4.4-15", "null", FAIL)),
    _set(f"{F}/0/sending-mta-ip", "mta.sender.example", ("RPT-4.4-15", "not-an-address", FAIL)),
    _set(f"{F}/0/sending-mta-ip", "[192.0.2.10]", ("RPT-4.4-15", "not-an-address", FAIL)),
    _set(f"{F}/0/sending-mta-ip", "192.0.2.010", ("RPT-4.4-22", "leading-zeros", FAIL)),
    _set(f"{F}/1/sending-mta-ip", "2001:DB8::10", ("RPT-4.4-15", "not-rfc-5952", FAIL)),
    _set(f"{F}/1/sending-mta-ip", "fe80::1%eth0", ("RPT-4.4-15", "not-an-address", FAIL)),
    _no(f"{F}/0/receiving-ip", ("RPT-4.4-18", "missing", FAIL)),
    _set(f"{F}/1/receiving-ip", "2001:db8:1:0:0:0:0:7", ("RPT-4.4-18", "not-rfc-5952", FAIL)),
    _no(f"{F}/0/receiving-mx-hostname", ("RPT-4.4-16", "missing", FAIL)),
    _set(f"{F}/0/receiving-mx-hostname", "198.51.100.7", ("RPT-4.4-16", "not-a-host-name", FAIL)),
    _set(f"{F}/0/receiving-mx-hostname", "mx1.bücher.example", ("RPT-4.4-16", "not-a-host-name", FAIL)),
    _set(f"{F}/0/receiving-mx-helo", 7, ("RPT-4.4-17", "wrong-type", INFO)),
    _set(f"{F}/0/additional-information", "https://sender.example/a b", ("RPT-4.4-20", "not-a-uri", INFO)),
    _set(f"{F}/1/failure-reason-code", 20, ("RPT-4.4-21", "wrong-type", FAIL)),
    _no(f"{F}/1/failure-reason-code", ("RPT-4.3.1-05", "no-reason", WEAK)),
    _set(f"{F}/1/failure-reason-code", "", ("RPT-4.3.1-05", "no-reason", WEAK)),
    _of(
        "a general failure without a reason",
        lambda r: (_member(f"{F}/1/result-type", "validation-failure")(r), _without(f"{F}/1/failure-reason-code")(r)),
        ("RPT-4.3.1-07", "no-reason", WEAK),
    ),
    _set(f"{F}/1/failure-reason-code", "x" * 513, ("RPT-4.3.3-03", "long-reason", WEAK)),
    _of(
        "an identity failure without an address",
        lambda r: (_member(f"{F}/0/result-type", "certificate-host-mismatch")(r), _without(f"{F}/0/receiving-ip")(r)),
        ("RPT-4.4-18", "perhaps-missing", INFO),
    ),
    _set(
        f"{STS}/policy-string",
        ["version: STSv1", "mode: none", "mx: mx1.a.example", "mx: *.backup.a.example", "max_age: 1"],
        ("STS-6-03", "failure-under-none", WEAK),
    ),
    _of(
        "only a refresh that failed under a policy of mode none",
        lambda r: (
            _member(f"{STS}/policy-string/1", "mode: none")(r),
            _member(F, r["policies"][0]["failure-details"][2:])(r),
            _member(BADS, 1)(r),
        ),
        ("STS-6-02", "failure-under-none", WEAK),
    ),
    _of(
        "equal failures in two entries",
        lambda r: r["policies"][0]["failure-details"].append(
            {**r["policies"][0]["failure-details"][0], "failed-session-count": 1}
        ),
        ("RPT-4-06", "not-aggregated", FAIL),
    ),
)

MUTATIONS = (*REQUIRED, *DATES, *POLICY, *COUNTS, *FAILURES)

#: Other ways to be right: each of these leaves the good report clean.
HARMLESS = (
    _set(ENDS, "2026-03-03T00:00:00Z"),
    _set(ENDS, "2026-03-02T23:59:59.999Z"),
    _set(START, "2026-03-02t00:00:00.0z"),
    _set(START, "2026-03-02T01:00:00+01:00"),
    _set("organization-name", "Größe & Söhne \U0001f4e7"),
    _set("contact-info", '"tls reports"@sender.example'),
    _set("x-extension", {"anything": [1, 2.5, None, True]}),
    _set(f"{STS}/policy-domain", "a.example."),
    _set(f"{STS}/policy-domain", "xn--bcher-kva.example"),
    _set(f"{STS}/policy-string/2", "mx:mx1.a.example"),
    _set(f"{STS}/policy-string/2", "mx: mx1.a.example."),
    _of(
        "a policy published in u-labels, its patterns in a-labels",
        lambda r: (
            _member(f"{STS}/policy-string/3", "mx: *.b\u00fccher.example")(r),
            _member(f"{STS}/mx-host/1", "*.xn--bcher-kva.example")(r),
        ),
    ),
    _of(
        "mode none without mx",
        lambda r: (
            _member(f"{STS}/policy-string", ["version: STSv1", "mode: none", "max_age: 1"])(r),
            _without(f"{STS}/mx-host")(r),
            _without(F)(r),
            _member(BADS, 0)(r),
        ),
    ),
    _of("no policy to quote", lambda r: (_without(f"{STS}/policy-string")(r), _without(f"{STS}/mx-host")(r))),
    _of("an empty quotation", lambda r: (_member(f"{STS}/policy-string", [])(r), _member(f"{STS}/mx-host", [])(r))),
    _of("overlapping kinds", _member(f"{F}/1/failed-session-count", 4)),
    _set(f"{F}/2/sending-mta-ip", ""),
    _set(f"{F}/1/receiving-ip", "::ffff:192.0.2.1"),
    _set("policies/1/failure-details", []),
    _of(
        "no failures at all",
        lambda r: (
            _without(F)(r),
            _member(BADS, 0)(r),
            _member(f"{STS}/mx-host", ["*.backup.a.example", "MX1.a.example"])(r),
        ),
    ),
)
