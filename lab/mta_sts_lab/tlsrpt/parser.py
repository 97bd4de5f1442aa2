"""The tolerant parser: keeps everything that it can read, and notes each departure.

It knows a whole mail message, gzip data and JSON text by their content, and never raises for what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt.content import read_content
from mta_sts_lab.tlsrpt.departures import Departure, Notes
from mta_sts_lab.tlsrpt.json_text import look_like_json, read_json
from mta_sts_lab.tlsrpt.limits import LARGEST_INPUT, BeyondLimit
from mta_sts_lab.tlsrpt.mail import Message, Part, decoded, looks_like_mail, read_message
from mta_sts_lab.tlsrpt.report import Kind, ParsedReport, Report
from mta_sts_lab.tlsrpt.unpacking import GZIP_MAGIC, unpack

REPORT_TYPES = ("application/tlsrpt+gzip", "application/tlsrpt+json")
_LIKELY_TYPES = ("application/json", "application/gzip", "application/x-gzip")


@dataclass(frozen=True, slots=True)
class _Data:
    """The data part of a report, read."""

    packed: bool | None
    content: Report | None
    complete: bool
    problem: str


def parse_report(octets: bytes, media_type_hint: str | None = None, file_name: str = "") -> ParsedReport:
    """Read a report as far as it goes.

    `media_type_hint` is the Content-Type of the HTTP request that carried the octets, `file_name` the name that the
    file was given by its sender; a mail message says both itself. Never raises: what cannot be read is said in
    `problem`.
    """
    notes = Notes()
    media_type = (media_type_hint or "").partition(";")[0].strip().lower()
    parsed = ParsedReport(_kind(octets), media_type, file_name)
    if len(octets) > LARGEST_INPUT:
        return replace(parsed, problem=f"there are more than {LARGEST_INPUT >> 20} MiB", beyond_limit=True)
    try:
        if parsed.kind is Kind.MAIL and not media_type:
            parsed = _with_message(parsed, read_message(octets), notes)
        else:
            parsed = _with(parsed, _read(octets, notes))
    except BeyondLimit as limit:
        parsed = replace(parsed, problem=str(limit), beyond_limit=True)
    return replace(parsed, departures=tuple(notes))


def _kind(octets: bytes) -> Kind:
    if octets.startswith(GZIP_MAGIC):
        return Kind.GZIP
    if not octets.strip():
        return Kind.EMPTY
    if look_like_json(octets):
        return Kind.JSON
    return Kind.MAIL if looks_like_mail(octets) else Kind.UNKNOWN


def _with(parsed: ParsedReport, data: _Data) -> ParsedReport:
    return replace(parsed, packed=data.packed, content=data.content, complete=data.complete, problem=data.problem)


def _with_message(parsed: ParsedReport, message: Message, notes: Notes) -> ParsedReport:
    ranked = [(part, rank) for part in message.top.leaves() if (rank := rank_of(message, part))]
    if not ranked:
        problem = "the message has no part that looks like a report"
        return replace(parsed, message=message, problem=problem)
    machine = max(ranked, key=lambda pair: pair[1])[0]
    others = sum(1 for part, rank in ranked if part is not machine and rank > 1)
    parsed = replace(
        parsed, message=replace(message, machine=machine, more_machines=others), file_name=machine.file_name
    )
    body, odd = decoded(message.octets, machine)
    if odd:
        note = "no obligation in the catalogue names it, but not every reader will forgive it"
        where = f"{machine.place}, Content-Transfer-Encoding"
        notes.add(Departure("MPR-3-01", "odd-transfer-encoding", where, "clean octets", odd, Grade.INFO, note))
    try:
        return _with(parsed, _read(body, notes))
    except BeyondLimit as limit:
        return replace(parsed, problem=str(limit), beyond_limit=True)


def rank_of(message: Message, part: Part) -> int:
    """Say how much a part looks like the report: 3 by its media type, 2 by a likely type or name, 1 by its content."""
    if part.media_type in REPORT_TYPES:
        return 3
    name = part.file_name.lower()
    if part.media_type in _LIKELY_TYPES or name.endswith((".json", ".json.gz")):
        return 2
    body, _ = decoded(message.octets, part)
    return 1 if body.startswith(GZIP_MAGIC) or look_like_json(body) else 0


def _read(octets: bytes, notes: Notes) -> _Data:
    """Read the data part: gzip or plain."""
    if not octets.startswith(GZIP_MAGIC):
        return _read_text(octets, False, True, notes)
    unpacked = unpack(octets, notes)
    if unpacked.octets.startswith(GZIP_MAGIC):
        _no_report(notes, "packed-twice", "gzip data inside gzip data")
        return _Data(True, None, False, "the gzip data has gzip data inside")
    return _read_text(unpacked.octets, True, unpacked.complete, notes)


def _read_text(octets: bytes, packed: bool, whole: bool, notes: Notes) -> _Data:
    if not look_like_json(octets):
        if whole or octets.strip():
            _no_report(
                notes,
                "no-json",
                f"{len(octets)} octets that begin with {octets[:16].hex(' ')}" if octets else "nothing",
            )
        return _Data(packed, None, False, "there is no JSON in it")
    noted = Notes()
    text = read_json(octets, noted)
    for departure in noted:
        # What a cut in the gzip data leaves open is the fault of the cut, which is noted already.
        if whole or departure.reason not in ("cut-short", "broken-json"):
            notes.add(departure)
    content = read_content(text.value, text.complete, notes)
    return _Data(packed, content, text.complete, "" if content else "there is no JSON object in it")


def _no_report(notes: Notes, reason: str, observed: str) -> None:
    notes.add(Departure("RPT-4-01", reason, "data part", "one JSON text", observed))
