"""What is printed of a report: nothing of it can take over the terminal."""

from __future__ import annotations

from mta_sts_lab.judge.comparison import Comparison, Field
from mta_sts_lab.model import Grade
from mta_sts_lab.reports.report_page import report_page

from .records import HOSTILE, HOSTILE_VISIBLE, rendered


def test_a_field_stands_beside_its_verdict() -> None:
    fields = (Field("failed sessions", "1 to 2", "14", Grade.FAIL), Field("day", "", "2025-01-06", Grade.PASS))
    shown = rendered(report_page([Comparison("a/b[enforce]", "posted", fields, "14 sessions failed", ())]))
    lines = [line.split() for line in shown.splitlines()]
    assert ["failed", "sessions", "1", "to", "2", "14", "fail"] in lines
    assert ["day", "-", "2025-01-06", "pass"] in lines
    assert 'It tells the domain: "14 sessions failed."' in shown


def test_foreign_text_is_made_visible() -> None:
    field = Field("policy-domain", "x", HOSTILE, Grade.WEAK)
    shown = rendered(report_page([Comparison(HOSTILE, HOSTILE, (field,), HOSTILE, (HOSTILE,))]))
    assert HOSTILE not in shown
    assert HOSTILE_VISIBLE[:10] in shown


def test_nothing_to_show() -> None:
    assert rendered(report_page([])) == ""
