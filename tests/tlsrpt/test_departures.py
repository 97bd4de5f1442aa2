"""What a finding expected and what it observed are never printed alike."""

from __future__ import annotations

import pytest
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.tlsrpt import KnownSessions, Range, against_sessions, parse_report
from mta_sts_lab.tlsrpt.departures import (
    Departure,
    finding,
    listed_apart,
    printed_alike,
    quoted_apart,
)

from .builder import good, text


@pytest.mark.parametrize(
    ("expected", "observed"),
    [
        ("sts", '"sts "'),
        ("a" * 700 + "b", "a" * 700 + "c"),
        ("a" * 700, "a" * 701),
    ],
)
def test_a_finding_shows_where_two_texts_differ(expected: str, observed: str) -> None:
    made = finding(Departure("RPT-4.4-06", "untrue", "policies", expected, observed), "a-check", load_requirements())
    assert made.expected != made.observed
    assert expected == observed or "from character" in made.expected
    assert len(made.expected) < 700 > len(made.observed)


def test_texts_that_differ_are_left_as_they_are() -> None:
    made = finding(Departure("RPT-4.4-06", "untrue", "policies", '"sts"', '"STS"'), "a-check", load_requirements())
    assert (made.expected, made.observed) == ('"sts"', '"STS"')


def test_long_names_are_quoted_from_where_they_differ() -> None:
    assert quoted_apart("a.example", "b.example") == ('"a.example"', '"b.example"')
    expected, observed = quoted_apart("x" * 200 + "a", "x" * 200 + "b")
    assert (expected, observed) == ('"a" from character 201 on', '"b" from character 201 on')


def test_long_lists_begin_with_what_only_one_of_them_has() -> None:
    common = {f"mx{number}.example" for number in range(9)}
    expected, observed = listed_apart(common | {"z.example"}, common | {"y.example"})
    assert not printed_alike(expected, observed)
    assert (expected.partition(",")[0], observed.partition(",")[0]) == ('"z.example"', '"y.example"')


def test_mx_patterns_that_differ_behind_the_sixth_show_the_difference() -> None:
    patterns = [f"a{number}.example" for number in range(8)]
    block = good()["policies"][0]
    block["policy"]["mx-host"] = [*patterns, "wrong.example"]
    lines = ("version: STSv1", "mode: testing", *(f"mx: {one}" for one in [*patterns, "right.example"]), "max_age: 9")
    truth = KnownSessions(
        policy_domain="a.example",
        attempts=Range(14, 20),
        failed=Range(4, 6),
        policy_types=frozenset({"sts"}),
        policy_lines=lines,
    )
    report = parse_report(text({**good(), "policies": [block]}))
    found = against_sessions(report, truth, load_requirements())
    (one,) = (one for one in found if one.reason == "mx-host-untrue")
    assert "right.example" in one.expected
    assert "wrong.example" in one.observed
