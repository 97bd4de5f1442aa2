"""Each rule on the JSON fires for the smallest change that breaks it, and only that rule."""

from __future__ import annotations

import gzip

import pytest
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt import parse_report

from .builder import REQUIREMENTS, changed, found, good, short, text
from .mutations import HARMLESS, MUTATIONS, Mutation


def test_a_good_report_is_clean_however_it_is_packed() -> None:
    assert found(text(good())) == ()
    assert found(gzip.compress(text(good()))) == ()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_the_smallest_change_is_found_and_nothing_else(mutation: Mutation) -> None:
    report = changed(mutation.change)
    assert text(report) != text(good())
    assert short(found(text(report))) == mutation.found


@pytest.mark.parametrize("mutation", HARMLESS, ids=str)
def test_other_ways_to_be_right_are_right(mutation: Mutation) -> None:
    report = changed(mutation.change)
    assert text(report) != text(good())
    assert short(found(text(report))) == set()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_grade_that_is_not_the_levels_says_why(mutation: Mutation) -> None:
    for finding in found(text(changed(mutation.change))):
        if finding.grade is not REQUIREMENTS[finding.obligation].grade_when_broken:
            assert finding.note


def test_what_was_read_is_kept_beside_what_was_wrong() -> None:
    report = good()
    report["policies"] = report["policies"][0]
    report["policies"]["summary"]["total-successful-session-count"] = "10"
    report["policies"]["policy"]["mx-host"] = "mx1.a.example"
    content = parse_report(text(report)).content
    assert content is not None
    (policy,) = content.policies
    assert policy.successful == 10
    assert policy.mx_host == ("mx1.a.example",)
    assert policy.mx_host_is_text


def test_ambiguities_are_named() -> None:
    report = changed(lambda one: one["policies"][0]["policy"].update({"mx-host": "mx1.a.example *.backup.a.example"}))
    (finding,) = found(text(report))
    assert finding.grade is Grade.WEAK
    assert finding.level == "DEFN"
    assert finding.note.startswith("the appendix of RFC 8460 shows a string")


def test_a_finding_carries_the_obligations_own_words() -> None:
    (finding,) = found(text(changed(lambda one: one.pop("report-id"))))
    row = REQUIREMENTS["RPT-4.4-05"]
    assert (finding.text, finding.level, finding.rfc, finding.section) == (row.text, row.level, "8460", row.section)
    assert finding.where == "report-id"
