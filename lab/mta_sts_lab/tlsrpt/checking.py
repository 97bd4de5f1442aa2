"""Everything that `sts-lab report-check` does with files: finds the reports in them, grades each, compares them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.tlsrpt.content import MEMBERS
from mta_sts_lab.tlsrpt.departures import Departure, Finding, finding, listed, quoted
from mta_sts_lab.tlsrpt.files import Piece, describe, pieces
from mta_sts_lab.tlsrpt.grading import NotJudged, grade, not_judged
from mta_sts_lab.tlsrpt.limits import LONGEST_CALL
from mta_sts_lab.tlsrpt.parser import parse_report
from mta_sts_lab.tlsrpt.registry import KeyLookup
from mta_sts_lab.tlsrpt.report import TOP_MEMBERS, Kind, ParsedReport, Report
from mta_sts_lab.tlsrpt.summary import Summary, sender_of, summarize

NOT_OURS = "JSON, but no member of a TLS report is in it"
EMPTY = "empty: there is nothing in it"
NOT_JSON = "no JSON"


@dataclass(frozen=True, slots=True)
class Input:
    """A file that was read, or `problem` in words. `named` is False for one that was found in a folder."""

    name: str
    octets: bytes = b""
    problem: str = ""
    named: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one report, or of a file or message that is none.

    `place` says where in the file it was. `other` says what it is if it is no report, `unreadable` why it could not be
    read; both are empty for a report. `complete` is False for one that ends too early, `named` for a file that was
    found in a folder. `copy_of` names the same report if it came before, and `remarks` say how it was read.
    """

    file: str
    place: str = ""
    kind: Kind | None = None
    packed: bool = False
    complete: bool = False
    content: Report | None = None
    findings: tuple[Finding, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    other: str = ""
    unreadable: str = ""
    named: bool = True
    copy_of: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file, and where in it."""
        return f"{self.file}: {self.place}" if self.place else self.file

    @property
    def is_report(self) -> bool:
        """Whether there was a report to grade."""
        return not self.other and not self.unreadable

    @property
    def bad(self) -> bool:
        """Whether it breaks an obligation."""
        return any(one.grade in (Grade.FAIL, Grade.WEAK) for one in self.findings)


@dataclass(frozen=True, slots=True)
class Options:
    """How reports are checked: media type of an HTTP request, DKIM keys, and the time (seconds since 1970)."""

    media_type: str | None = None
    find_key: KeyLookup | None = None
    now: float = field(default_factory=time.time)


def check_inputs(
    inputs: Iterable[Input],
    requirements: Mapping[str, Requirement],
    options: Options,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Checked, ...]:
    """Check everything in some files, and the reports against one another. `clock` gives seconds of work."""
    found: list[Checked] = []
    began = clock()
    for one in inputs:
        for checked in _check_input(one, requirements, options):
            found.append(checked)
            if clock() - began > LONGEST_CALL:
                late = f"stopped after {LONGEST_CALL:.0f} seconds of work: what follows was not read"
                return _compared([*found, Checked(one.name, unreadable=late)], requirements)
    return _compared(found, requirements)


def summary_of(checked: Sequence[Checked]) -> Summary:
    """Add up the reports that could be read, each once."""
    return summarize(one.content for one in checked if one.is_report and one.content and not one.copy_of)


def _check_input(one: Input, requirements: Mapping[str, Requirement], options: Options) -> Iterator[Checked]:
    if one.problem:
        yield Checked(one.name, unreadable=one.problem, named=one.named)
        return
    name = one.name.replace("\\", "/").rpartition("/")[2]
    whole = options.media_type is not None
    for piece in [Piece("", one.octets, name)] if whole else pieces(one.octets, name):
        checked = replace(_check_piece(one.name, piece, requirements, options), named=one.named)
        # Who names a file wants a report in it; in folders and archives there are others.
        found = piece.place or not one.named
        if found and checked.unreadable == EMPTY:
            yield replace(checked, other=EMPTY, unreadable="")
        elif not one.named and not piece.place and _only_begins_like_json(checked, piece):
            yield Checked(one.name, piece.place, other=NOT_JSON)
        else:
            yield checked


def _check_piece(file: str, piece: Piece, requirements: Mapping[str, Requirement], options: Options) -> Checked:
    none = Checked(file, piece.place, other=piece.other, unreadable=piece.unreadable)
    if piece.other or piece.unreadable:
        return none
    own_name = piece.file_name if piece.file_name.count("!") >= 3 else ""
    parsed = parse_report(piece.octets, options.media_type, own_name)
    none = replace(none, kind=parsed.kind)
    if parsed.kind is Kind.EMPTY:
        return replace(none, unreadable=EMPTY)
    if not options.media_type and parsed.kind is Kind.UNKNOWN:
        return replace(none, other=describe(piece.octets))
    if not options.media_type and parsed.message is None and _is_alien(parsed):
        return replace(none, other=NOT_OURS)
    return replace(
        none,
        packed=bool(parsed.packed),
        complete=parsed.complete,
        content=parsed.content,
        findings=grade(parsed, requirements, options.find_key, now=options.now),
        not_judged=not_judged(parsed, requirements, options.find_key),
        unreadable=f"not read to its end: {parsed.problem}" if parsed.beyond_limit else "",
        remarks=tuple(filter(None, (piece.note, _excerpt(parsed)))),
    )


def _only_begins_like_json(checked: Checked, piece: Piece) -> bool:
    """Whether plain text is no JSON and has no member name of a report: a section of a configuration begins so, too."""
    if not checked.is_report or checked.complete or checked.packed or piece.file_name.lower().endswith(".json"):
        return False
    if not piece.octets.lstrip().startswith((b"{", b"[")):
        return False
    # Those with a hyphen are no words of other files.
    return not any(member.encode() in piece.octets for member in MEMBERS if "-" in member)


def _is_alien(parsed: ParsedReport) -> bool:
    """Whether the JSON was read to its end and has nothing to do with a TLS report."""
    content = parsed.content
    return parsed.complete and content is not None and not set(content.members) & MEMBERS


def _excerpt(parsed: ParsedReport) -> str:
    """Say that JSON text seems to be a part of a report; empty for a mail, and where a single member is missing."""
    content = parsed.content
    lacking = [name for name in TOP_MEMBERS if content and name not in content.members]
    if content is None or parsed.message or parsed.media_type or not parsed.complete or len(lacking) < 2:
        return ""
    return (
        f"this looks like an excerpt of a report: it has no {' and no '.join(lacking[:5])}. What is there was checked; "
        "for a verdict on the reporter check the whole file"
    )


def _compared(found: Sequence[Checked], requirements: Mapping[str, Requirement]) -> tuple[Checked, ...]:
    """Mark the reports that came twice, and find different ones under one identifier of one sender."""
    result: list[Checked] = []
    first: dict[Report, str] = {}
    by_id: dict[tuple[str, str], list[str]] = {}
    for one in found:
        content = one.content if one.is_report and one.complete else None
        if content is None:
            result.append(one)
        elif content in first:
            result.append(replace(one, copy_of=first[content]))
        else:
            first[content] = one.name
            others = by_id.setdefault((sender_of(content), content.report_id or ""), [])
            again = _id_used_again(content, others, requirements) if content.report_id and others else ()
            others.append(one.name)
            result.append(replace(one, findings=(*again, *one.findings)))
    return tuple(result)


def _id_used_again(
    content: Report, others: Sequence[str], requirements: Mapping[str, Requirement]
) -> tuple[Finding, ...]:
    observed = f"{quoted(content.report_id or '')} is also the id of another report, in {listed(others, 3)}"
    again = Departure("RPT-4.4-05", "id-used-twice", "report-id", "an id of its own", observed)
    return (finding(again, "report-ids-are-unique", requirements),)
