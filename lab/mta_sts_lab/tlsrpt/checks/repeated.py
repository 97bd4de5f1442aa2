"""The same thing said in several places: header fields, Subject, file name and JSON (RFC 8460, sections 5.1, 5.3, 5.6).

Where they disagree the JSON is right (section 5.6), so that a wrong Subject or file name misleads nobody who obeys:
that is weak. The two header fields are another matter: their agreement is demanded in so many words.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.tlsrpt.departures import Departure, quoted, quoted_apart
from mta_sts_lab.tlsrpt.mail import subject_of
from mta_sts_lab.tlsrpt.names import FileName, Moment, Subject, read_file_name, read_subject, within
from mta_sts_lab.tlsrpt.registry import Scope, check
from mta_sts_lab.tlsrpt.report import ParsedReport

SAME_DAY = (
    "the end of a day and the next midnight are one second apart, and both mean the same day; "
    "sts-lab docs ambiguities#end-of-day"
)
ID_FORMS_DIFFER = (
    "the Subject wants the form of a message identifier, the JSON any text; "
    "sts-lab docs ambiguities#report-id-in-subject"
)
EITHER_DOMAIN = (
    "about DANE, or without a policy, the recipient domain and another one are both right; "
    "sts-lab docs ambiguities#name-of-the-policy-domain"
)
JSON_DECIDES = "the JSON is authoritative (RFC 8460, section 5.6), so that nobody who obeys is misled"


@check(scope=(Scope.MAIL, Scope.CONTENT), obligations=("RPT-5.3-06",), of_the_run=True)
def submitter_is_the_contact_domain(parsed: ParsedReport) -> Iterator[Departure]:
    """TLS-Report-Submitter is the domain of contact-info."""
    submitter = parsed.message.first("tls-report-submitter") if parsed.message else None
    contact = parsed.contact_domain
    if submitter and contact and a_labels(submitter) != a_labels(contact):
        expected, observed = quoted_apart(contact, submitter)
        yield Departure("RPT-5.3-06", "submitter-differs", "TLS-Report-Submitter", expected, observed)


@check(scope=(Scope.MAIL, Scope.CONTENT), obligations=("RPT-5.3-07",), of_the_run=True)
def report_domain_is_a_policy_domain(parsed: ParsedReport) -> Iterator[Departure]:
    """TLS-Report-Domain is a policy-domain of the report."""
    domain = parsed.message.first("tls-report-domain") if parsed.message else None
    if domain and not _names_a_policy(parsed, domain):
        expected, observed = _domains(parsed), quoted(domain)
        grade, note = (Grade.INFO, EITHER_DOMAIN) if _may_be_another(parsed) else (None, "")
        yield Departure("RPT-5.3-07", "domain-differs", "TLS-Report-Domain", expected, observed, grade, note)


@check(scope=(Scope.MAIL, Scope.CONTENT), obligations=("RPT-5.6-01",), of_the_run=True)
def subject_agrees_with_report(parsed: ParsedReport) -> Iterator[Departure]:
    """The Subject names the policy domain, the submitter and the report-id of the JSON."""
    subject = _subject(parsed)
    if subject is None:
        return
    contact = parsed.contact_domain
    if contact and a_labels(subject.submitter) != a_labels(contact):
        yield _contradiction("Subject", "submitter-differs", *quoted_apart(contact, subject.submitter))
    if not _names_a_policy(parsed, subject.domain):
        yield _another_domain(parsed, "Subject", subject.domain)
    identifier = (parsed.content.report_id or "") if parsed.content else ""
    if subject.report_id and identifier and subject.report_id != identifier.strip("<>"):
        expected, observed = quoted_apart(identifier, subject.report_id)
        yield Departure("RPT-5.6-01", "report-id-differs", "Subject", expected, observed, Grade.INFO, ID_FORMS_DIFFER)


@check(scope=(Scope.NAMED, Scope.CONTENT), obligations=("RPT-5.6-01",), of_the_run=True)
def file_name_agrees_with_report(parsed: ParsedReport) -> Iterator[Departure]:
    """The file name has the policy domain of the JSON."""
    name = read_file_name(parsed.file_name)
    if name and not _names_a_policy(parsed, name.domain):
        yield _another_domain(parsed, "file name", name.domain)


@check(scope=(Scope.NAMED, Scope.CONTENT), obligations=("RPT-5.1-02",), of_the_run=True)
def file_name_has_the_sender(parsed: ParsedReport) -> Iterator[Departure]:
    """The file name begins with the domain of contact-info."""
    name = read_file_name(parsed.file_name)
    contact = parsed.contact_domain
    if name and contact and a_labels(name.sender) != a_labels(contact):
        expected, observed = quoted_apart(contact, name.sender)
        yield Departure("RPT-5.1-02", "sender-differs", "file name", expected, observed, Grade.WEAK, JSON_DECIDES)


@check(scope=(Scope.NAMED, Scope.CONTENT), obligations=("RPT-5.1-04",), of_the_run=True)
def file_name_has_the_times(parsed: ParsedReport) -> Iterator[Departure]:
    """The two numbers of the file name are the limits of date-range in Unix seconds."""
    name = read_file_name(parsed.file_name)
    if name and parsed.content:
        yield from _time(name, "begin", parsed.content.start)
        yield from _time(name, "end", parsed.content.end)


def _time(name: FileName, limit: str, moment: Moment | None) -> Iterator[Departure]:
    seconds = name.begin if limit == "begin" else name.end
    if moment is None or moment.unix is None or seconds == moment.unix:
        return
    close = limit == "end" and abs(seconds - moment.unix) == 1
    grade, note = (Grade.INFO, SAME_DAY) if close else (Grade.WEAK, JSON_DECIDES)
    expected, observed = f"{moment.unix} ({moment.text})", f"{seconds}"
    yield Departure("RPT-5.1-04", f"{limit}-differs", "file name", expected, observed, grade, note)


def _subject(parsed: ParsedReport) -> Subject | None:
    text = subject_of(parsed.message) if parsed.message else None
    return read_subject(text) if text else None


def _names_a_policy(parsed: ParsedReport, domain: str) -> bool:
    """Whether a domain is a policy-domain of the report; without any in the report nothing can disagree.

    Where the policy-domain is that of a host, the domain above it is as right (docs/ambiguities.md).
    """
    known = {a_labels(name) for name in parsed.policy_domains}
    above = _may_be_another(parsed) and any(within(name, domain) for name in known)
    return not known or a_labels(domain) in known or above


def _may_be_another(parsed: ParsedReport) -> bool:
    return all(policy.policy_type in ("tlsa", "no-policy-found") for policy in parsed.policies)


def _domains(parsed: ParsedReport) -> str:
    return " or ".join(map(quoted, list(dict.fromkeys(parsed.policy_domains))[:3]))


def _another_domain(parsed: ParsedReport, where: str, domain: str) -> Departure:
    if _may_be_another(parsed):
        expected, observed = _domains(parsed), quoted(domain)
        return Departure("RPT-5.6-01", "domain-differs", where, expected, observed, Grade.INFO, EITHER_DOMAIN)
    return _contradiction(where, "domain-differs", _domains(parsed), quoted(domain))


def _contradiction(where: str, reason: str, expected: str, observed: str) -> Departure:
    return Departure("RPT-5.6-01", reason, where, expected, observed, Grade.WEAK, JSON_DECIDES)
