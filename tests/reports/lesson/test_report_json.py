"""The report of a lesson is what its sender wrote."""

from __future__ import annotations

import json

from mta_sts_lab.reports.lesson.report_json import report_json
from mta_sts_lab.tlsrpt import parse_report

from tests.tlsrpt.builder import good


def _shown(report: object) -> object:
    parsed = parse_report(json.dumps(report).encode())
    assert parsed.content is not None
    return json.loads(report_json(parsed.content))


def test_a_whole_report_is_shown_as_it_was_written() -> None:
    assert _shown(good()) == good()


def test_what_is_absent_or_of_no_use_is_left_out() -> None:
    report = {"report-id": "x@sender.example", "contact-info": [], "policies": [{"policy": {"policy-type": "sts"}}]}
    assert _shown(report) == {
        "date-range": {},
        "report-id": "x@sender.example",
        "policies": [{"policy": {"policy-type": "sts"}, "summary": {}}],
    }
