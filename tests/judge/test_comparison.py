"""A report beside the record: each field with what was seen, what was told, and the judge's word."""

from __future__ import annotations

from typing import Any

from mta_sts_lab.judge import views_of
from mta_sts_lab.judge.comparison import Comparison, compare_reports
from mta_sts_lab.judge.verdicts import judge_case
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.requirements import load_requirements

from tests.judge.stories import ABSENT, CASES, DOMAIN, ENFORCE, record, taken_in
from tests.judge.test_reports import CLAIMS, content, owing, policy, posted, story


def compared(report: dict[str, Any] | bytes) -> tuple[Comparison, ...]:
    made = record(story(posted(report)), taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
    view = next(one for one in views_of(made, load_requirements()) if one.case.id == ENFORCE)
    return compare_reports(view, judge_case(view))


def fields(report: dict[str, Any]) -> dict[str, tuple[str, str, Grade]]:
    (comparison,) = compared(report)
    return {field.name: (field.seen, field.reported, field.grade) for field in comparison.fields}


def test_a_true_report_beside_the_record() -> None:
    shown = fields(content())
    assert {grade for _, _, grade in shown.values()} == {Grade.PASS}
    assert shown["failed sessions"][:2] == ("1 to 2", "2")
    assert shown["result-type"][:2] == ("starttls-not-supported", "starttls-not-supported")
    assert shown["receiving host"][:2] == (f"mx1.{DOMAIN[ENFORCE]}", f"mx1.{DOMAIN[ENFORCE]}")
    assert shown["day"][:2] == ("arrived 2025-01-06 09:00", "2025-01-06 to 2025-01-06")


def test_the_field_that_is_wrong_has_the_word() -> None:
    report = content()
    policy(report)["failure-details"][0]["receiving-ip"] = "192.0.2.1"
    shown = fields(report)
    assert shown["receiving-ip"] == ("198.18.64.9", "192.0.2.1", Grade.FAIL)
    assert {grade for name, (_, _, grade) in shown.items() if name != "receiving-ip"} == {Grade.PASS}


def test_what_has_no_field_is_told_as_well() -> None:
    (comparison,) = compared(content() | {"contact-info": None})
    assert comparison.further == ("RPT-4.4-04: members-have-their-types (null)",)


def test_what_the_domain_learns() -> None:
    (comparison,) = compared(content())
    assert comparison.lesson == "2 sessions failed because your MX host did not offer STARTTLS, or refused it"
    report = content()
    policy(report)["failure-details"] = []
    assert compared(report)[0].lesson == ""


def test_what_is_no_report_is_not_compared() -> None:
    assert compared(b"hello") == ()
