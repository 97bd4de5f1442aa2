"""Refuse scenarios that prove nothing about TLS reports: nobody asks for them, or nobody understands what is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta_sts_lab.catalogue.expand import MAIN_STEP
from mta_sts_lab.catalogue.problems import KeyPath, Problem, unknown
from mta_sts_lab.model import CERTIFICATE_VARIANTS, REPORT_PLACES, Case, Expectation, Scenario, Step

#: RFC 8460, section 4.3, and the IANA registry of result types.
RESULT_TYPES = (
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
)

#: What an expectation can say of a report instead of result types.
_WORDS = ("success", "any", "none")

#: What a scenario can ask a target to claim.
_CAPABILITIES = ("tls-rpt",)

#: Replies of the lab's mailbox, and what the report host can answer; a status of 0 is a stall.
_MAIL_REPLIES = (250, 451, 550)
_STATUSES = range(200, 600)

#: Octets of a character-string (RFC 1035, section 3.3).
_LONGEST_STRING = 255

_IN_BRACES = re.compile(r"\{(\w*)\}")


def report_places(step: Step) -> Iterator[Problem]:
    """Yield what is wrong with where a step's world wants its reports, and how it answers them."""
    reports, at = step.world.reports, ("fault" if step.name == MAIN_STEP else "world", "reports")
    for key, records in (("records", reports.records), ("at_mx", reports.at_mx)):
        for number, record in enumerate(records):
            for word in _IN_BRACES.findall(record):
                if word not in REPORT_PLACES:
                    yield Problem(unknown("place for reports", word, REPORT_PLACES), (*at, key, number))
    if reports.certificate not in CERTIFICATE_VARIANTS:
        yield Problem(unknown("certificate variant", reports.certificate, CERTIFICATE_VARIANTS), (*at, "certificate"))
    if reports.status and reports.status not in _STATUSES:
        yield Problem(f"`status` is an HTTP status, or 0 for no answer, not {reports.status}", (*at, "status"))
    if reports.location and not (reports.location.startswith("/") and 300 <= reports.status < 400):
        yield Problem("`location` is a path, and needs a `status` that points to it: 3xx", (*at, "location"))
    if reports.mail_reply not in _MAIL_REPLIES:
        told = ", ".join(map(str, _MAIL_REPLIES))
        yield Problem(f"`mail_reply` is one of {told}, not {reports.mail_reply}", (*at, "mail_reply"))
    if not 0 <= reports.string_length <= _LONGEST_STRING:
        message = f"`string_length` is at most {_LONGEST_STRING} octets; 0 leaves it to the lab"
        yield Problem(message, (*at, "string_length"))


def reports_asked(case: Case) -> Iterator[Problem]:
    """Yield whether a report is judged that nobody asks for: once, behind all ordinary cases, or by a step."""
    for capability in case.needs:
        if capability not in _CAPABILITIES:
            yield Problem(unknown("capability", capability, _CAPABILITIES), ("needs",))
    awaited = [number for number, step in enumerate(case.steps) if step.expect and step.expect.report]
    asked = [number for number, step in enumerate(case.steps) if step.reports]
    if awaited and not asked and case.changes_target:
        message = "nobody asks for the report: a case that changes the target needs a step with `reports = true`"
        yield Problem(message, ("expect", case.mode.value, "report"))
    if awaited and asked and max(asked) < max(awaited):
        message = "the report is asked for before the step that it has to tell of"
        yield Problem(message, ("step", asked[-1], "reports"))


def reports_expected(scenario: Scenario) -> Iterator[Problem]:
    """Yield whether reports are asked for in vain: no mode expects anything of them."""
    by_vector: dict[str, list[Case]] = {}
    for case in scenario.cases:
        by_vector.setdefault(case.vector, []).append(case)
    for vector, cases in by_vector.items():
        asked = [number for number, step in enumerate(cases[0].steps) if step.reports]
        if asked and not any(case.judges_reports for case in cases):
            message = "reports are asked for and nothing is expected of them"
            yield Problem(message, ("step", asked[0], "reports"), vector)


def report_words(expect: Expectation, at: KeyPath) -> Iterator[Problem]:
    """Yield what cannot be meant by what an expectation says of a report."""
    for word in expect.report:
        if word not in RESULT_TYPES and word not in _WORDS:
            yield Problem(unknown("result type", word, (*RESULT_TYPES, *_WORDS)), at)
        elif word in _WORDS and len(expect.report) > 1:
            yield Problem(f"`{word}` stands alone: a report cannot be that and something else", at)
    if expect.report_optional and (not expect.report or "none" in expect.report):
        yield Problem("`report_optional` is about a report that would be right", (*at[:-1], "report_optional"))
