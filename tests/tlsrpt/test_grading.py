"""Every obligation on reports is judged, or said not to be; and nothing that comes in makes a traceback or a pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt import Departure, Kind, ParsedReport, grade, not_judged, parse_report
from mta_sts_lab.tlsrpt.grading import IN_SCOPE, needs_by_obligation
from mta_sts_lab.tlsrpt.registry import Scope, check, key_check, reading_check, session_check

from .builder import REQUIREMENTS, Mail, found, good, keys, replace, short, text
from .mutations import HARMLESS, MUTATIONS, Mutation
from .test_mail_checks import CASES as MAIL_CASES

ROWS = {name for name in REQUIREMENTS if name.startswith(IN_SCOPE)}
REGISTERED = {one.id: set(one.obligations) for registry in (reading_check, check, key_check) for one in registry}
JUDGED = set().union(*REGISTERED.values())
NEVER_JUDGED = ROWS - set(needs_by_obligation())


def test_every_obligation_of_a_check_exists() -> None:
    assert JUDGED <= ROWS
    assert {name for one in session_check for name in one.obligations} <= ROWS


def test_ids_are_unique_short_and_explained() -> None:
    registered = [*reading_check, *check, *key_check, *session_check]
    names = [one.id for one in registered]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 36 and one.function.__doc__ for name, one in zip(names, registered, strict=True))


def test_a_new_check_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def report_is_about_something(parsed: ParsedReport) -> Iterator[Departure]:
        """Finds a fault in every report."""
        yield Departure("RPT-4.3.3-01", "nothing", "report", "something", parsed.file_name)

    reasons = {row.obligation: row.reason for row in not_judged(parse_report(text(good())), REQUIREMENTS)}
    assert "RPT-4.3.3-01" in reasons
    monkeypatch.setattr(check, "_checks", dict(check._checks))
    check(scope=(Scope.CONTENT,), obligations=("RPT-4.3.3-01",))(report_is_about_something)
    assert [one.check for one in found(text(good()))] == ["report-is-about-something"]
    assert "RPT-4.3.3-01" not in {row.obligation for row in not_judged(parse_report(text(good())), REQUIREMENTS)}
    assert {one.reason for one in found(b"")} == {"no-json"}


def test_every_judged_obligation_is_seen_to_fire() -> None:
    """The mutations together break every obligation that is judged: a check that cannot fail is no check."""
    fired: set[str] = set()
    for octets in _bad_reports():
        for finding in found(octets, keys()):
            fired |= {finding.obligation, *finding.also}
    # These are shown in tests of their own: of posts, of gzip data, of key records, of JSON.
    elsewhere = {"RPT-5.4-02", "RPT-3-13", "DKIM-3.5-01", "DKIM-3.6.1-01", "IJ-2.1-01", "IJ-2.3-01", "RPT-4-01"}
    assert fired | elsewhere == JUDGED


def _bad_reports() -> list[bytes]:
    bad = [mail.octets() for _, mail, _ in MAIL_CASES]
    for mutation in MUTATIONS:
        report = good()
        mutation.change(report)
        bad.append(text(report))
    return bad


def test_every_finding_is_of_an_obligation_of_its_check() -> None:
    for octets in _bad_reports():
        for finding in found(octets, keys()):
            assert finding.obligation in REGISTERED[finding.check]


@pytest.mark.parametrize(
    "octets",
    [text(good()), Mail().octets(), b"", b"\x00\x01", b'{"a":', b"[" * 99, b"Subject: hello\n\nhello\n"],
    # Signatures are never the same, and each process of a run has to know a test by the same name.
    ids=["good", "mailed", "empty", "binary", "cut short", "deep", "no report"],
)
def test_every_obligation_is_judged_or_listed(octets: bytes) -> None:
    """With nothing found and nothing listed an obligation would look kept."""
    parsed = parse_report(octets)
    listed = {row.obligation for row in not_judged(parsed, REQUIREMENTS) if not row.in_part}
    assert listed >= NEVER_JUDGED
    if parsed.content is None:
        assert {"RPT-4.4-01", "RPT-4.4-14", "IJ-2.3-01"} <= listed
        assert found(octets)
    if parsed.message is None:
        assert {"RPT-5.3-02", "RPT-3-11", "RPT-3-12"} <= listed


def test_failures_under_a_mode_that_is_not_quoted_are_not_judged_by_it() -> None:
    def reasons(octets: bytes) -> dict[str, str]:
        return {row.obligation: row.reason for row in not_judged(parse_report(octets), REQUIREMENTS)}

    report = good()
    report["policies"][0]["policy"].pop("policy-string")
    assert "mode of a policy is not quoted" in reasons(text(report))["STS-6-03"]
    assert "STS-6-03" not in reasons(text(good()))
    assert "no report" in reasons(b"")["STS-6-03"]


def test_a_bare_file_is_not_judged_by_how_it_was_sent() -> None:
    listed = {row.obligation for row in not_judged(parse_report(text(good())), REQUIREMENTS)}
    assert {"RPT-5.2-01", "RPT-5.1-01", "RPT-5.4-02", "MPR-3-01", "RPT-5.6-01"} <= listed


@given(st.binary(max_size=200))
def test_arbitrary_octets_are_never_a_clean_report(octets: bytes) -> None:
    for hint in (None, "application/tlsrpt+gzip"):
        parsed = parse_report(octets, hint)
        findings = grade(parsed, REQUIREMENTS, keys())
        assert any(finding.grade is Grade.FAIL for finding in findings)


@given(st.binary(max_size=60), st.integers(0, 3000), st.integers(0, 60))
@settings(max_examples=150)
def test_arbitrary_octets_in_a_good_mail_never_raise(noise: bytes, at: int, gone: int) -> None:
    octets = GOOD_MAIL[:at] + noise + GOOD_MAIL[at + gone :]
    parsed = parse_report(octets)
    grade(parsed, REQUIREMENTS, keys())
    not_judged(parsed, REQUIREMENTS, keys())


GOOD_MAIL = Mail().octets()

NAMES = sorted({"policy", "summary", "policies", "failure-details", "policy-string", "mx-host", "date-range", *good()})
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["sts", "tlsa", "2026-03-02T00:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)


@given(ANYTHING)
def test_arbitrary_json_never_raises_and_never_is_clean(document: Any) -> None:
    findings = found(json.dumps(document).encode())
    assert any(finding.grade is Grade.FAIL for finding in findings)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, one in inner for place in _places(one, (*path, step)))]


@given(st.sampled_from(_places(good())[1:]), ANYTHING)
@settings(max_examples=300)
def test_any_value_in_any_place_of_a_good_report_never_raises(place: tuple[Any, ...], value: Any) -> None:
    report: Any = good()
    holder = report
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    octets = json.dumps(report).encode()
    grade(parse_report(octets), REQUIREMENTS, keys())
    grade(parse_report(replace(Mail(), report=report, signed_by=None).octets()), REQUIREMENTS, keys())


def _areas(mutation: Mutation) -> set[tuple[Any, ...]]:
    """Which parts of the report a mutation changes: top-level members, and single policies where it is only those."""
    before, after = good(), good()
    mutation.change(after)
    changed = {name for name in {*before, *after} if _differ(before.get(name, ...), after.get(name, ...))}
    policies = after.get("policies")
    if changed != {"policies"} or not isinstance(policies, list) or len(policies) != len(before["policies"]):
        return {(name,) for name in changed}
    pairs = zip(before["policies"], policies, strict=True)
    return {("policies", number) for number, (one, other) in enumerate(pairs) if _differ(one, other)}


def _differ(one: object, other: object) -> bool:
    return repr(one) != repr(other)  # 10 and 10.0 are equal, but not here


def _apart(first: Mutation, other: Mutation) -> bool:
    pairs = ((one, two) for one in _areas(first) for two in _areas(other))
    return not any(one[: len(two)] == two[: len(one)] for one, two in pairs)


@given(st.sampled_from(MUTATIONS), st.lists(st.sampled_from((*MUTATIONS, *HARMLESS)), max_size=4))
@settings(max_examples=300)
def test_no_change_elsewhere_makes_a_finding_go_away(first: Mutation, others: list[Mutation]) -> None:
    report = good()
    first.change(report)
    for other in others:
        if _apart(first, other):
            before = json.dumps(report)
            try:
                other.change(report)
            except (KeyError, IndexError, TypeError, AttributeError):
                report = json.loads(before)  # an earlier change took its place away
    assert first.found <= short(found(text(report)))


def test_findings_come_the_gravest_first() -> None:
    report = good()
    report["policies"][0]["policy"]["mx-host"] = "mx1.a.example *.backup.a.example"
    report["contact-info"] = None
    report["policies"].append(report["policies"][2])
    assert [finding.grade for finding in found(text(report))] == [Grade.FAIL, Grade.WEAK, Grade.INFO]


def test_kinds_are_told_by_content() -> None:
    assert parse_report(b"").kind is Kind.EMPTY
    assert parse_report(b" \r\n").kind is Kind.EMPTY
    assert parse_report(b"\x1f\x8b").kind is Kind.GZIP
    assert parse_report(b"\xef\xbb\xbf {").kind is Kind.JSON
    assert parse_report(b"Received: x\n\n").kind is Kind.MAIL
    assert parse_report(b"colour: red\nshape: round\n").kind is Kind.UNKNOWN
