"""TLS reports (RFC 8460) from any sender: a tolerant parser, and a strict grader.

The parser never raises for what a report says. The grader says what is wrong, which obligation that breaks, and what
cannot be judged from the report alone.
"""

from mta_sts_lab.tlsrpt.checks.signature import KeyUnavailable, unverified
from mta_sts_lab.tlsrpt.departures import Departure, Finding
from mta_sts_lab.tlsrpt.grading import NotJudged, against_sessions, checks_of_the_run, grade, not_judged
from mta_sts_lab.tlsrpt.known_sessions import KnownSessions, Range, right_result_types
from mta_sts_lab.tlsrpt.parser import parse_report
from mta_sts_lab.tlsrpt.registry import KeyLookup
from mta_sts_lab.tlsrpt.report import Failure, Kind, ParsedReport, Policy, Report

__all__ = [
    "Departure",
    "Failure",
    "Finding",
    "KeyLookup",
    "KeyUnavailable",
    "Kind",
    "KnownSessions",
    "NotJudged",
    "ParsedReport",
    "Policy",
    "Range",
    "Report",
    "against_sessions",
    "checks_of_the_run",
    "grade",
    "not_judged",
    "parse_report",
    "right_result_types",
    "unverified",
]
