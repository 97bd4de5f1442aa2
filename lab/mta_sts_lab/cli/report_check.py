"""`sts-lab report-check`: grades TLS reports that somebody has, whoever sent them (RFC 8460).

A file is a whole mail message, gzip data or plain JSON; which of them, its content says.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from mta_sts_lab.model import Grade, Requirement
from mta_sts_lab.reports.escaping import escape_unprintable, legal_json, shortened
from mta_sts_lab.reports.layout import Hanging, Rule, labelled
from mta_sts_lab.reports.terminal import STYLES
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs.trouble import NOTHING_SELECTED, USAGE, UsageError
from mta_sts_lab.tlsrpt import (
    Finding,
    KeyLookup,
    KeyUnavailable,
    Kind,
    NotJudged,
    ParsedReport,
    grade,
    not_judged,
    parse_report,
)
from mta_sts_lab.tlsrpt.limits import LARGEST_INPUT

#: A report that somebody handed in was read, and it has findings that count.
FINDINGS = 1

#: Which of several results is the exit status: what was found outranks what could not be read or was not there.
_WORST_FIRST = (FINDINGS, USAGE, NOTHING_SELECTED, 0)

_LABEL = 12
#: Cells of a foreign text: six lines of the page. `--json` has the whole.
_LONGEST = 400
#: Places that a block names; the rest is counted.
_PLACES = 3
#: Policies that the head of a report names.
_POLICIES = 4


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one file. `unusable` says, in words, why there was no report to grade."""

    name: str
    status: int
    parsed: ParsedReport | None = None
    findings: tuple[Finding, ...] = ()
    silent: tuple[NotJudged, ...] = ()
    unusable: str = ""


def check_file(
    name: str, requirements: Mapping[str, Requirement], media_type: str | None, find_key: KeyLookup | None
) -> Checked:
    """Read one file, `-` for standard input, and grade the report in it."""
    try:
        octets = _read(name)
    except OSError as error:
        return Checked(name, USAGE, unusable=f"cannot be read: {error.strerror or error}")
    own_name = Path(name).name if name.count("!") >= 3 else ""
    parsed = parse_report(octets, media_type, own_name)
    if parsed.kind is Kind.EMPTY:
        return Checked(name, NOTHING_SELECTED, parsed, unusable="there is nothing in it")
    if parsed.kind is Kind.UNKNOWN and not media_type:
        return Checked(name, USAGE, parsed, unusable=f"no report: it is {parsed.kind}")
    if _another_mail(parsed):
        return Checked(name, NOTHING_SELECTED, parsed, unusable="a mail message, but no TLS report")
    findings = grade(parsed, requirements, find_key)
    grades = {finding.grade for finding in findings}
    status = FINDINGS if grades & {Grade.FAIL, Grade.WEAK} else USAGE if Grade.INCONCLUSIVE in grades else 0
    unusable = f"not read to its end: {parsed.trouble}" if parsed.beyond_limit else ""
    return Checked(name, status, parsed, findings, not_judged(parsed, requirements, find_key), unusable)


def check_files(names: Sequence[str], media_type: str | None, keys: Sequence[str]) -> list[Checked]:
    """Check several files. Raises `UsageError` for a key that is not written as NAME=RECORD."""
    requirements = load_requirements()
    find_key = _lookup(keys)
    return [check_file(name, requirements, media_type, find_key) for name in names]


def exit_status(checked: Sequence[Checked]) -> int:
    """Return the exit status of a whole call."""
    return min((one.status for one in checked), key=_WORST_FIRST.index, default=NOTHING_SELECTED)


def document(checked: Sequence[Checked]) -> str:
    """Return the results as JSON, with nothing in them that is not legal I-JSON."""
    reports = [_report(one) for one in checked]
    return legal_json(
        {"format": "sts-lab report-check", "version": 1, "exit_code": exit_status(checked), "reports": reports}
    )


def show(screen: Console, checked: Sequence[Checked]) -> None:
    """Print a block for each file and for each of its findings, and the line that counts."""
    said: tuple[NotJudged, ...] = ()
    for one in checked:
        screen.print(Group(*_blocks(one, one.silent == said)))
        said = one.silent or said
    screen.print(_summary(checked))


def _read(name: str) -> bytes:
    # One octet more than is looked at, so that the parser can say that it is too much.
    if name == "-":
        return sys.stdin.buffer.read(LARGEST_INPUT + 1)
    with Path(name).open("rb") as file:
        return file.read(LARGEST_INPUT + 1)


def _lookup(keys: Sequence[str]) -> KeyLookup | None:
    if not keys:
        return None
    records: dict[str, bytes] = {}
    for key in keys:
        name, equals, record = key.partition("=")
        if not equals or "._domainkey." not in name or not record:
            raise UsageError(
                f"--dkim-key {escape_unprintable(key)[:80]}: write it as selector._domainkey.domain=RECORD"
            )
        records[name.strip().rstrip(".").lower()] = record.encode("utf-8", "surrogateescape")

    def find(name: str) -> bytes | None:
        try:
            return records[name.lower()]
        except KeyError:
            raise KeyUnavailable(name) from None

    return find


def _another_mail(parsed: ParsedReport) -> bool:
    """Whether it is a message that nobody meant to be a TLS report."""
    message = parsed.message
    if message is None or message.machine is not None:
        return False
    marks = (message.top.parameters.get("report-type", ""), message.first("subject") or "")
    named = any(message.first(name) for name in ("tls-report-domain", "tls-report-submitter"))
    return not named and marks[0].lower() != "tlsrpt" and "report domain:" not in marks[1].lower()


def _report(checked: Checked) -> dict[str, Any]:
    parsed = checked.parsed
    return {
        "file": checked.name,
        "kind": parsed.kind.name.lower() if parsed else None,
        "exit_code": checked.status,
        "unusable": checked.unusable,
        "grades": Counter(finding.grade.value for finding in checked.findings),
        "findings": [asdict(finding) for finding in checked.findings],
        "not_judged": [asdict(one) for one in checked.silent],
    }


def _blocks(checked: Checked, silent_as_before: bool) -> Iterator[RenderableType]:
    yield Rule()
    yield Hanging(Text("REPORT  "), Text(escape_unprintable(checked.name), style="bold"))
    parsed = checked.parsed
    if parsed is not None and parsed.content is not None:
        yield from _head(parsed)
    if checked.unusable:
        yield labelled("unusable", shortened(checked.unusable, _LONGEST), width=_LABEL, style=STYLES[Grade.FAIL])
    elif not checked.findings:
        yield labelled("findings", "none", width=_LABEL, style=STYLES[Grade.PASS])
    if silent_as_before and checked.silent:
        yield labelled("not judged", "what was not judged of the report above", width=_LABEL, style="dim")
    else:
        yield from _silent(checked.silent)
    groups: dict[tuple[str, ...], list[Finding]] = {}
    # The worst stands just above the prompt.
    for finding in reversed(checked.findings):
        groups.setdefault((finding.check, finding.obligation, finding.reason, finding.grade), []).append(finding)
    for group in groups.values():
        yield Text()
        yield from _finding(group)
    yield Text()


def _head(parsed: ParsedReport) -> Iterator[RenderableType]:
    content = parsed.content
    if content is None:
        return
    packed = ", gzip inside" if parsed.packed and parsed.kind is Kind.MAIL else ""
    start, end = (moment.text if moment else "?" for moment in (content.start, content.end))
    rows = [
        ("what", f"{parsed.kind}{packed}"),
        ("from", f"{content.organization_name or '?'}, {content.contact_info or '?'}"),
        ("range", f"{start} to {end}"),
        ("report-id", content.report_id or "?"),
    ]
    for policy in content.policies[:_POLICIES]:
        counts = (f"{'?' if count is None else count}" for count in (policy.successful, policy.failed))
        told = "{} sessions well, {} failed".format(*counts)
        rows.append(("policy", f"{policy.policy_type or '?'} of {policy.policy_domain or '?'}: {told}"))
    if len(content.policies) > _POLICIES:
        rows.append(("policy", f"and {len(content.policies) - _POLICIES} more"))
    for label, text in rows:
        yield labelled(label, shortened(text, _LONGEST), width=_LABEL)


def _silent(rows: Sequence[NotJudged]) -> Iterator[RenderableType]:
    by_reason: dict[tuple[str, bool], list[str]] = {}
    for row in rows:
        by_reason.setdefault((row.reason, row.in_part), []).append(row.obligation)
    for (reason, in_part), names in by_reason.items():
        label = "in part" if in_part else "not judged"
        text = f"{shortened(reason, _LONGEST)}: {', '.join(names)}"
        yield labelled(label, text, width=_LABEL, style="dim")


def _finding(group: Sequence[Finding]) -> Iterator[RenderableType]:
    # The findings were turned round, so that the last of a group is the first in the report.
    first = group[-1]
    head = Text(first.grade.value.upper(), style=STYLES[first.grade])
    yield Hanging(Text.assemble(head, "  "), Text(f"{first.check} ({first.reason})", style="bold"))
    also = f" Also: {', '.join(first.also)}." if first.also else ""
    told = f"{first.obligation} ({first.level}, RFC {first.rfc} section {first.section}): {first.text}{also}"
    places = [finding.where for finding in reversed(group)]
    more = f" and {len(places) - _PLACES} more places" if len(places) > _PLACES else ""
    rows = [
        ("obligation", told),
        ("where", ", ".join(places[:_PLACES]) + more),
        ("expected", first.expected),
        ("observed", first.observed),
        ("note", first.note),
    ]
    for label, text in rows:
        if text:
            yield labelled(label, shortened(text, _LONGEST), width=_LABEL)


def _summary(checked: Sequence[Checked]) -> Text:
    line = Text(f"{len(checked)} report{'' if len(checked) == 1 else 's'}", style="bold")
    counts = Counter(finding.grade for one in checked for finding in one.findings)
    shown = [word for word in (Grade.INFO, Grade.WEAK, Grade.INCONCLUSIVE, Grade.FAIL) if counts[word]]
    for number, word in enumerate(shown):
        line.append(", " if number else ": ", style="none")
        line.append(f"{counts[word]} {word.value}", style=STYLES[word])
    unusable = sum(1 for one in checked if one.unusable)
    if unusable:
        line.append(f", {unusable} unusable", style=STYLES[Grade.FAIL])
    meanings = {
        FINDINGS: "Findings: at least one obligation is not kept.",
        USAGE: "At least one file could not be read as a report.",
        NOTHING_SELECTED: "There was no report in at least one file.",
        0: "Nothing wrong with what could be judged.",
    }
    line.append(f". {meanings[exit_status(checked)]}", style="none")
    return line
