"""What `sts-lab report-check` prints: the reported failures first, then what is wrong with the reports themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.glossary import GRADES
from mta_sts_lab.reports.layout import Hanging, Rule, labelled, page_width
from mta_sts_lab.reports.terminal import STYLES
from mta_sts_lab.reports.tls_reports.grouping import FindingGroup, grouped, plural, some, stated
from mta_sts_lab.tlsrpt.checking import Checked, summary_of
from mta_sts_lab.tlsrpt.summary import DomainSum, FailureSum, Summary, day_of

_LABEL = 12
#: Cells of a foreign text: six lines of the page. `--json` has the whole.
_LONGEST = 400
_CELL = 120
#: Rows of a table, and names in a list; the rest is counted. `--json` and `--html` have all.
_ROWS = 40
_NAMES = 5


def pages(checked: Sequence[Checked], verbose: bool = False) -> Iterator[RenderableType]:
    """Yield everything that is printed about some files but for the last line."""
    summary = summary_of(checked)
    if summary.domains:
        yield from _failures(summary)
        yield from _domains(summary)
    yield from _reports(checked, verbose)
    for group in grouped(checked):
        yield Text()
        yield from _finding(group)
    yield from _set_aside(checked, verbose)
    yield Text()


@dataclass(frozen=True, slots=True)
class _Unpadded:
    """A table without blanks at the ends of its lines, no wider than a page."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield its lines."""
        options = options.update(max_width=page_width(options.max_width))
        for segments in console.render_lines(self.table, options, pad=False):
            line = Text.assemble(*((part.text, part.style or "") for part in segments), no_wrap=True, overflow="ignore")
            line.rstrip()
            yield line


def last_line(checked: Sequence[Checked], meaning: str) -> RenderableType:
    """Return the line that counts everything, and says what the exit status means."""
    reports = [one for one in checked if one.is_report]
    line = Text(plural(len(reports), "report"), style="bold")
    counts = Counter(finding.grade for one in checked for finding in one.findings)
    shown = [grade for grade in (Grade.INFO, Grade.WEAK, Grade.INCONCLUSIVE, Grade.FAIL) if counts[grade]]
    for number, grade in enumerate(shown):
        line.append(", " if number else ": ", style="none")
        line.append(f"{counts[grade]} {grade.value}", style=STYLES[grade])
    unreadable = sum(1 for one in checked if one.unreadable)
    if unreadable:
        line.append(f", {unreadable} unreadable", style=STYLES[Grade.FAIL])
    line.append(f". {meaning}", style="none")
    if shown:
        meanings = "; ".join(f"{grade.value}: {GRADES[grade]}" for grade in shown)
        line.append(f"\n({meanings})", style="dim")
    return Hanging(Text(), line)


def _failures(summary: Summary) -> Iterator[RenderableType]:
    if not summary.failures:
        yield _no_failures(summary)
        return
    yield Text("Reported failures", style="bold")
    table = _table("sessions", "what", "at host, and why", "policy of, and reported by")
    for row in summary.failures[:_ROWS]:
        table.add_row(*_failure_cells(row))
    yield _Unpadded(table)
    yield from _rest(len(summary.failures), "failure")


def _no_failures(summary: Summary) -> Text:
    sessions = sum(row.successful for row in summary.domains)
    uncounted = sum(row.uncounted for row in summary.domains)
    if not uncounted:
        return Text.assemble(("No failures were reported", "bold green"), f", in {plural(sessions, 'session')}.")
    unknown = plural(uncounted, "block of a report lacks", "blocks of reports lack")
    return Text(f"No failures can be read, in {plural(sessions, 'session')}; {unknown} a count.")


def _failure_cells(row: FailureSum) -> tuple[Text, ...]:
    days = row.days[0] if len(row.days) == 1 else f"{len(row.days)} days to {row.days[-1]}"
    count = Text("?" if row.sessions is None else str(row.sessions), style="bold")
    where = (row.host or "not said", some(row.addresses, 2), row.reason)
    return (
        count,
        _cell(row.result_type, row.meaning),
        _cell(*where),
        _cell(row.domain, f"{row.policy_type}, {days}", some(row.senders, 2)),
    )


def _domains(summary: Summary) -> Iterator[RenderableType]:
    yield Text()
    table = _table("domain", "policy", "in order", "failed", "reports", "days, and reported by")
    for row in summary.domains[:_ROWS]:
        table.add_row(*_domain_cells(row))
    yield _Unpadded(table)
    yield from _rest(len(summary.domains), "domain")


def _domain_cells(row: DomainSum) -> tuple[Text, ...]:
    days = row.days[0] if len(row.days) == 1 else f"{len(row.days)}: {row.days[0]} to {row.days[-1]}"
    failed = Text(stated(row.failed, row), style=STYLES[Grade.FAIL] if row.failed else "")
    figures = (
        _cell(row.domain),
        _cell(row.policy_type),
        Text(stated(row.successful, row)),
        failed,
        Text(str(row.reports)),
    )
    return (*figures, _cell(days, some(row.senders, 3)))


def _reports(checked: Sequence[Checked], verbose: bool) -> Iterator[RenderableType]:
    """Print a block for each report that there is something to say about; for all with `verbose`, or if it is alone."""
    reports = [one for one in checked if one.is_report]
    said = [one for one in reports if verbose or len(reports) == 1 or one.remarks]
    for one in said:
        yield Rule()
        yield Hanging(Text("REPORT  "), Text(shortened(one.name, _LONGEST), style="bold"))
        content = one.content
        if content:
            sender = f"{content.organization_name or '?'}, {content.contact_info or 'no contact'}"
            yield _row("from", f"{sender}, about {day_of(content)}, id {content.report_id or 'absent'}")
        for remark in one.remarks:
            yield _row("note", remark)
        if one.copy_of:
            yield _row("note", f"the same report as in {one.copy_of}: counted once")
        if not one.findings:
            yield _row("findings", "none", STYLES[Grade.PASS])
        for reason, names in _not_judged(one).items() if verbose else ():
            yield _row("not judged", f"{reason}: {', '.join(names)}", "dim")
    copies = sum(1 for one in reports if one.copy_of)
    if copies:
        yield Text(f"\n{plural(copies, 'report')} came more than once, and counted once (--verbose says which).")


def _not_judged(one: Checked) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = {}
    for row in one.not_judged:
        by_reason.setdefault(row.reason + (" (in part)" if row.in_part else ""), []).append(row.obligation)
    return by_reason


def _finding(group: FindingGroup) -> Iterator[RenderableType]:
    first = group.first
    head = Text(first.grade.value.upper(), style=STYLES[first.grade])
    yield Hanging(Text.assemble(head, "  "), Text(f"{first.check} ({first.reason})", style="bold"))
    rows = [
        ("rule", f"RFC {first.rfc}, section {first.section} ({first.obligation}): {first.text}"),
        ("where", some(group.places, 3)),
        ("in", some(group.reports, _NAMES) if group.of_several else ""),
        ("expected", first.expected),
        ("observed", some(group.observed, 3)),
        ("note", first.note),
    ]
    yield from (_row(label, text) for label, text in rows if text)


def _set_aside(checked: Sequence[Checked], verbose: bool) -> Iterator[RenderableType]:
    """Say what was no report or could not be read. What was only found in a folder is counted, by what it is."""
    found: Counter[str] = Counter()
    if any(not one.is_report for one in checked):
        yield Text()
    for one in checked:
        if one.unreadable:
            yield Hanging(Text("UNREADABLE  ", style=STYLES[Grade.FAIL]), Text(_sentence(one, one.unreadable)))
        elif one.other and (verbose or one.named):
            yield Hanging(Text("NO REPORT  ", style="bold"), Text(_sentence(one, one.other)))
        elif one.other:
            found[one.other] += 1
    for what, count in found.most_common(_ROWS):
        yield Hanging(
            Text("NO REPORT  ", style="bold"), Text(f"{plural(count, 'file or message', 'files or messages')}: {what}")
        )


def _sentence(one: Checked, what: str) -> str:
    return f"{shortened(one.name, _LONGEST)}: {shortened(what, _LONGEST)}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        justify: JustifyMethod = "right" if name in ("sessions", "in order", "failed", "reports") else "left"
        # The longest result type has 25 letters.
        table.add_column(name, overflow="fold", justify=justify, width=25 if name == "what" else None)
    return table


def _rest(count: int, what: str) -> Iterator[RenderableType]:
    if count > _ROWS:
        yield Text(f"and {plural(count - _ROWS, 'more ' + what)}: --json and --html have them all", style="dim")


def _cell(*lines: str) -> Text:
    """Return a cell with a line for each text that is not empty, the further ones dim."""
    first, *rest = (shortened(line, _CELL) for line in lines if line)
    return Text.assemble(first, *((f"\n{line}", "dim") for line in rest))


def _row(label: str, text: str, style: str = "") -> RenderableType:
    return labelled(label, shortened(text, _LONGEST), width=_LABEL, style=style)
