"""TLS reports (RFC 8460), whoever sent them: a tolerant parser, and a strict grader on top.

Pure: octets go in, frozen data comes out. The parser never raises for what a report says; the grader says what is
wrong, which obligation that breaks, and what cannot be judged from the report alone.
"""

from lab.tlsrpt.departures import Departure, Finding
from lab.tlsrpt.grading import NotJudged, grade, not_judged
from lab.tlsrpt.parser import parse_report
from lab.tlsrpt.report import Failure, Kind, ParsedReport, Policy, Report

__all__ = [
    "Departure",
    "Failure",
    "Finding",
    "Kind",
    "NotJudged",
    "ParsedReport",
    "Policy",
    "Report",
    "grade",
    "not_judged",
    "parse_report",
]
