"""How a report is packed and labelled: MIME, header fields, compression, file name (RFC 8460, 5.1 to 5.4)."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt.departures import Departure, quoted
from mta_sts_lab.tlsrpt.mail import Message, Part, subject_of
from mta_sts_lab.tlsrpt.names import read_file_name, read_subject
from mta_sts_lab.tlsrpt.registry import Scope, check
from mta_sts_lab.tlsrpt.report import ParsedReport

ID_FORM = "the Subject asks for the form of a message identifier; sts-lab docs ambiguities#report-id-in-subject"
THIRD_PART = "RFC 6522 allows a third part; RFC 8460 describes two"

#: What the header of any message of today has, and who says so. No obligation of the catalogue does.
_IN_EVERY_HEADER = {
    "From": "RFC 5322, section 3.6, demands it",
    "Date": "RFC 5322, section 3.6, demands it",
    "Message-ID": "RFC 5322, section 3.6.4, advises it",
    "MIME-Version": "RFC 2045, section 4, demands it: without it nobody has to take the message apart",
}
#: Fields of which a message has one at the most (RFC 5322, section 3.6; RFC 2045, section 3).
_ONCE = (*_IN_EVERY_HEADER, "To", "Subject", "Content-Type", "Content-Transfer-Encoding")
_WHICH_ONE = "what a reader makes of the message depends on which of them it takes"

REPORT_FIELDS = ("TLS-Report-Domain", "TLS-Report-Submitter")


@check(scope=(Scope.MAIL,), obligations=("RPT-5.3-02", "MPR-3-01", "MPR-3-02"), of_the_run=True)
def message_is_a_tlsrpt_report(parsed: ParsedReport) -> Iterator[Departure]:
    """The message is multipart/report, and its report-type is tlsrpt."""
    top = _message(parsed).top
    where, expected = "Content-Type", "multipart/report; report-type=tlsrpt"
    report_type = top.parameters.get("report-type")
    if top.media_type != "multipart/report":
        observed = top.media_type or "no Content-Type"
        yield Departure("RPT-5.3-02", "not-multipart-report", where, expected, observed)
    elif report_type is None:
        observed = "no report-type"
        yield Departure("RPT-5.3-02", "no-report-type", where, expected, observed, also=("MPR-3-01",))
    elif report_type.lower() != "tlsrpt":
        observed = f"report-type {quoted(report_type)}"
        yield Departure("MPR-3-02", "another-report-type", where, expected, observed, also=("RPT-5.3-02",))


@check(scope=(Scope.MAIL,), obligations=("MPR-3-01",), of_the_run=True)
def header_is_complete(parsed: ParsedReport) -> Iterator[Departure]:
    """The fields that every message has are there, and none that can only be there once contradicts another."""
    message = _message(parsed)
    for name, source in _IN_EVERY_HEADER.items():
        if not message.all(name.lower()):
            yield Departure("MPR-3-01", "field-missing", name, "such a field", "none", Grade.INFO, source)
    for name in _ONCE:
        values = tuple(dict.fromkeys(message.all(name.lower())))
        if len(values) > 1:
            observed = ", ".join(quoted(value) for value in values[:4])
            yield Departure(
                "MPR-3-01", "contradicting-fields", name, "one such field", observed, Grade.WEAK, _WHICH_ONE
            )


@check(scope=(Scope.MAIL,), obligations=("MPR-3-01", "RPT-5.3-03"), of_the_run=True)
def multipart_is_well_formed(parsed: ParsedReport) -> Iterator[Departure]:
    """A multipart/report has a boundary, is closed, and has two or three parts."""
    top = _message(parsed).top
    if top.media_type != "multipart/report":
        return
    if not top.parameters.get("boundary"):
        yield Departure("MPR-3-01", "no-boundary", "Content-Type", "a boundary", "none", also=("RPT-5.3-03",))
        return
    if not top.closed:
        observed = "the message ends before it"
        yield Departure("MPR-3-01", "not-closed", "message", "the closing boundary delimiter", observed)
    if not 2 <= len(top.children) <= 3:
        observed = f"{len(top.children)}"
        yield Departure("MPR-3-01", "number-of-parts", "message", "two or three parts", observed)


@check(scope=(Scope.MAIL,), obligations=("RPT-5.3-03", "MPR-3-01"), of_the_run=True)
def text_comes_first(parsed: ParsedReport) -> Iterator[Departure]:
    """There are two parts: text for people, then data for programs."""
    message = _message(parsed)
    top, expected = message.top, "text for people, then the report"
    if not top.media_type.startswith("multipart/"):
        observed = f"a single part, {top.media_type or 'without a media type'}"
        yield Departure("RPT-5.3-03", "single-part", "message", expected, observed)
        return
    if not top.parameters.get("boundary"):
        return
    types = ", ".join(part.media_type or "text/plain" for part in top.children) or "no parts"
    machine = message.machine
    if machine is None:
        yield Departure("RPT-5.3-03", "no-report-part", "message", expected, types)
    elif len(top.children) < 2 or not _is_text(top.children[0], machine) or not _lies_in(top.children[1], machine):
        also = ("MPR-3-01",) if top.children and not _is_text(top.children[0], machine) else ()
        yield Departure("RPT-5.3-03", "order-of-parts", "message", expected, types, also=also)
    if message.more_machines:
        observed = f"{message.more_machines} more that look like one"
        yield Departure("RPT-5.3-03", "several-reports", "message", "one report", observed)
    elif len(top.children) > 2:
        yield Departure("RPT-5.3-03", "third-part", "message", "two parts", types, Grade.WEAK, THIRD_PART)


@check(scope=(Scope.MAIL,), obligations=("RPT-5.3-04",), of_the_run=True)
def part_has_the_media_type(parsed: ParsedReport) -> Iterator[Departure]:
    """The data part is application/tlsrpt+gzip or application/tlsrpt+json, after its content."""
    machine = _message(parsed).machine
    expected = _media_type(parsed)
    if machine and expected and machine.media_type != expected:
        where = f"{machine.place}, Content-Type"
        yield Departure("RPT-5.3-04", "media-type", where, expected, machine.media_type or "none")


@check(scope=(Scope.POSTED,), obligations=("RPT-5.4-02",), of_the_run=True)
def request_has_the_media_type(parsed: ParsedReport) -> Iterator[Departure]:
    """A POST has application/tlsrpt+gzip or application/tlsrpt+json as its Content-Type, after its content."""
    expected = _media_type(parsed)
    if expected and parsed.media_type != expected:
        yield Departure("RPT-5.4-02", "media-type", "Content-Type", expected, parsed.media_type)


@check(scope=(Scope.SENT,), obligations=("RPT-5.2-01",), of_the_run=True)
def report_is_compressed(parsed: ParsedReport) -> Iterator[Departure]:
    """The report is sent as gzip."""
    if parsed.packed is False:
        yield Departure("RPT-5.2-01", "not-compressed", "data part", "gzip", "plain text")


@check(scope=(Scope.MAIL,), obligations=("RPT-5.3-05",), of_the_run=True)
def report_fields_are_present(parsed: ParsedReport) -> Iterator[Departure]:
    """TLS-Report-Domain and TLS-Report-Submitter are in the header, once each."""
    for name in REPORT_FIELDS:
        values = _message(parsed).all(name.lower())
        if not values or not values[0]:
            yield Departure("RPT-5.3-05", "missing", name, "a domain", "no such field" if not values else "nothing")
        elif len({value.lower() for value in values}) > 1:
            observed = ", ".join(quoted(value) for value in values[:4])
            yield Departure("RPT-5.3-05", "contradicting-fields", name, "one such field", observed)


@check(scope=(Scope.MAIL,), obligations=("RPT-5.3-09",), of_the_run=True)
def subject_is_well_formed(parsed: ParsedReport) -> Iterator[Departure]:
    """The Subject is "Report Domain: ... Submitter: ... Report-ID: <left@right>"."""
    expected = "Report Domain: <domain> Submitter: <domain> Report-ID: <left@right>"
    text = subject_of(_message(parsed))
    subject = read_subject(text) if text else None
    if subject is None or not subject.in_form:
        observed = quoted(text) if text else "no Subject"
        yield Departure("RPT-5.3-09", "subject-form", "Subject", expected, observed)
    elif not subject.id_in_form:
        observed = quoted(subject.report_id)
        yield Departure("RPT-5.3-09", "report-id-form", "Subject", "<left@right>", observed, note=ID_FORM)


@check(scope=(Scope.NAMED,), obligations=("RPT-5.1-01",), of_the_run=True)
def file_name_is_well_formed(parsed: ParsedReport) -> Iterator[Departure]:
    """The file name is sender!policy-domain!begin!end, maybe !unique-id, and an extension."""
    name = parsed.file_name
    if not name:
        yield Departure("RPT-5.1-01", "no-file-name", "file name", _NAME_FORM, "none")
    elif read_file_name(name) is None:
        yield Departure("RPT-5.1-01", "file-name-form", "file name", _NAME_FORM, quoted(name))


@check(scope=(Scope.NAMED,), obligations=("RPT-5.1-05",), of_the_run=True)
def file_extension_fits(parsed: ParsedReport) -> Iterator[Departure]:
    """The file name ends in .json.gz after compression and in .json without."""
    name = parsed.file_name.lower()
    if not name or parsed.packed is None:
        return
    expected = ".json.gz" if parsed.packed else ".json"
    if not name.endswith(expected):
        yield Departure("RPT-5.1-05", "extension", "file name", expected, quoted(parsed.file_name))


@check(scope=(Scope.NAMED,), obligations=("RPT-5.1-03",), of_the_run=True)
def file_name_is_in_a_labels(parsed: ParsedReport) -> Iterator[Departure]:
    """Both domains of the file name are in A-labels."""
    if not parsed.file_name.isascii():
        yield Departure("RPT-5.1-03", "u-label", "file name", "A-labels (xn--)", quoted(parsed.file_name))


_NAME_FORM = "sender!policy-domain!begin!end[!unique-id].json[.gz]"


def _message(parsed: ParsedReport) -> Message:
    if parsed.message is None:
        raise ValueError("only a mail message has an envelope")
    return parsed.message


def _media_type(parsed: ParsedReport) -> str:
    if parsed.packed is None:
        return ""
    return "application/tlsrpt+gzip" if parsed.packed else "application/tlsrpt+json"


def _is_text(part: Part, machine: Part) -> bool:
    """Whether a part is for people: text, or several renderings of it. Without a type it is text (RFC 2045, 5.2)."""
    if _lies_in(part, machine):
        return False
    return part.media_type in ("", "multipart/alternative", "multipart/related") or part.media_type.startswith("text/")


def _lies_in(part: Part, machine: Part) -> bool:
    return part.begin <= machine.begin and machine.end <= part.end
