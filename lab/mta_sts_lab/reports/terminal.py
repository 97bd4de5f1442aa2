"""What is printed when a run has ended: its TLS reports, a block for each finding, and a summary.

A block says which obligation was broken, what was expected and observed, who is to blame, where the evidence is, and
how to repeat just this case. Nothing is printed of a case that passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mta_sts_lab.events import Event
from mta_sts_lab.judge.comparison import Comparison
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.judge.run_findings import RunFinding, findings_of_the_run
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.causes import Cause, causes_of, reported
from mta_sts_lab.reports.command_line import deciding_options, repeat_command
from mta_sts_lab.reports.escaping import escape_unprintable, shortened
from mta_sts_lab.reports.glossary import GRADES, HARMS, level_phrase
from mta_sts_lab.reports.layout import Hanging, Rule, escaped, explained, gutter_line, labelled, paragraph
from mta_sts_lab.reports.summary import Summary, diagnoses_of
from mta_sts_lab.reports.target_log import TargetLog
from mta_sts_lab.reports.timeline import Line, timeline
from mta_sts_lab.reports.writers.mitm import FLOWS_FOLDER, mitm_name

RECORD_FILE = "record.jsonl"

#: Lines of the record that a block quotes for one judgement; the numbers of all are printed.
_QUOTED = 5

#: Cells of an expectation or observation: six lines of the page. `verdicts.json` has the whole text.
_LONGEST = 400

_LABEL = 12

STYLES = {
    Grade.PASS: "green",
    Grade.INFO: "cyan",
    Grade.WEAK: "yellow",
    Grade.UNSUPPORTED: "dim",
    Grade.INCONCLUSIVE: "magenta",
    Grade.LAB_ERROR: "bold magenta",
    Grade.FAIL: "bold red",
}

BLAMED = {
    "target": "the mail server under test",
    "lab": "the lab, not the mail server under test",
    "nobody": "nobody: nothing is proved either way",
}


class Lines:
    """The lines of a record by their numbers. Those of a case are made when the first of them is asked for."""

    def __init__(self, record: Record) -> None:
        self._events: dict[tuple[int, str], list[Event]] = {}
        self._cases = {case.id: case for case in record.header.cases}
        self._owners: dict[int, tuple[int, str]] = {}
        self._told: dict[tuple[int, str], dict[int, Line]] = {}
        for number, run in enumerate(record.runs()):
            for event in run.events:
                self._owners[event.number] = owner = (number, event.case)
                self._events.setdefault(owner, []).append(event)

    def of(self, numbers: Iterable[int]) -> list[Line]:
        """Return the lines of some events, without those that only repeat what was said."""
        found = [self._line(number) for number in numbers]
        return [line for line in found if line is not None]

    def _line(self, number: int) -> Line | None:
        owner = self._owners.get(number)
        if owner is None:
            return None
        if owner not in self._told:
            lines = timeline(self._events[owner], self._cases.get(owner[1]))
            self._told[owner] = {line.number: line for line in lines}
        return self._told[owner].get(number)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a run is kept, and the lines of its record by their numbers."""

    folder: PurePath
    #: `--target` and `--flaw` as they were given, to play a case again under the same conditions.
    options: tuple[str, ...]
    lines: Lines
    log: TargetLog

    @classmethod
    def of(cls, record: Record, folder: PurePath, log: str = "") -> Evidence:
        """Prepare the evidence of a whole record, and of the target's log, once for all of its findings."""
        return cls(folder, deciding_options(record.header.command), Lines(record), TargetLog.of(log, record))


def findings(
    verdicts: Sequence[Verdict],
    evidence: Evidence,
    requirements: Mapping[str, Requirement],
    known_failures: KnownComparison | None = None,
) -> RenderableType:
    """Return a block for each cause, the least bad first: the worst stands just above the prompt."""
    known = known_failures.known if known_failures else {}
    known_of_the_run = known_failures.known_of_the_run if known_failures else {}
    blocks: list[RenderableType] = [
        run_finding_block(one, requirements, known_of_the_run.get(one.key, ()))
        for one in reversed(findings_of_the_run(verdicts))
    ]
    blocks += [_cause_block(cause, evidence, requirements, known) for cause in causes_of(verdicts)]
    if known_failures:
        blocks += [_known_failure(failure, what) for what, failure in known_failures.wrong_entries]
        blocks += _cured(known_failures.cured)
    return Group(*(part for block in blocks for part in (block, Text())))


def finding_block(
    verdict: Verdict, evidence: Evidence, requirements: Mapping[str, Requirement], known: Sequence[str] = ()
) -> RenderableType:
    """Return the block of one case. `known` are the reasons why it was expected of this target, if it was."""
    return _cause_block(Cause((verdict,)), evidence, requirements, {verdict.case: tuple(known)})


def _cause_block(
    cause: Cause, evidence: Evidence, requirements: Mapping[str, Requirement], known: Mapping[str, Sequence[str]]
) -> RenderableType:
    """Return one block for all cases with the same findings: their names, and the evidence of the first."""
    verdict, judgements = cause.verdicts[0], reported(cause.verdicts[0])
    parts = _head(cause.grade, cause.cases)
    if not judgements:
        parts.append(labelled("observed", "no check of this case came to a result", width=_LABEL))
    for number, judgement in enumerate(judgements):
        named = any(judgement.obligation == other.obligation for other in judgements[:number])
        others = [one for one in cause.obligations(judgement) if one != judgement.obligation]
        parts += [Text()] if number else []
        parts += _rows(_judgement_rows(judgement, verdict.grade, {} if named else requirements, others))
        quoted = evidence.lines.of(judgement.evidence)
        parts += [gutter_line(line, indent=2) for line in quoted[:_QUOTED]]
    steps = dict.fromkeys(judgement.step for judgement in judgements)
    log = dict.fromkeys(line for step in steps for line in evidence.log.quoted(verdict.case, step))
    parts += _rows(("its log", line) for line in log)
    flows = evidence.folder / FLOWS_FOLDER / mitm_name(verdict.case)
    where = {
        "record": str(evidence.folder / RECORD_FILE),
        "flows": f"{flows} (open with: mitmweb -r)",
        "repeat": repeat_command(verdict.case, evidence.options),
    }
    reasons = dict.fromkeys(reason for case in cause.cases for reason in known.get(case, ()))
    news = [case for case in cause.cases if not known.get(case)]
    parts += _rows(("known", reason) for reason in reasons)
    parts += _rows([("not known", ", ".join(news))] if reasons and news else [])
    return Group(*parts, Text(), *(labelled(label, text, width=_LABEL) for label, text in where.items()))


def run_finding_block(
    finding: RunFinding, requirements: Mapping[str, Requirement], known: Sequence[str] = ()
) -> RenderableType:
    """Return the block of a finding of the run, which is no part of the verdict on any case."""
    title = Text.assemble(Text(finding.grade.value.upper(), style=STYLES[finding.grade]), "  ")
    many = "1 case" if len(finding.cases) == 1 else f"{len(finding.cases)} cases"
    parts: list[RenderableType] = [Rule(), Hanging(title, Text(f"of the run: seen in {many}", style="bold"))]
    judgement = replace(finding.judgement, step="", evidence=())
    parts += _rows(_judgement_rows(judgement, finding.grade, requirements))
    parts += _rows([("observed in", finding.example), *(("known", reason) for reason in known)])
    parts += _listed(finding.cases)
    return Group(*parts)


def _head(grade: Grade, cases: Sequence[str]) -> list[RenderableType]:
    """Return the head of a block: the only case, or how many there are and which. The first one is shown in full."""
    title = Text.assemble(Text(grade.value.upper(), style=STYLES[grade]), "  ")
    if len(cases) == 1:
        return [Rule(), Hanging(title, escaped(cases[0], style="bold"))]
    head = Hanging(title, Text(f"{len(cases)} cases with the same findings; shown of the first", style="bold"))
    return [Rule(), head, *_listed(cases)]


def _listed(cases: Sequence[str]) -> list[RenderableType]:
    return [labelled("cases" if not number else "", case, width=_LABEL) for number, case in enumerate(cases)]


def _known_failure(failure: KnownFailure, what: str) -> RenderableType:
    """Return the block of a known failure that does not agree with the run."""
    expected = f"{failure.result} ({', '.join(failure.codes)}): {failure.reason}"
    rows = [("obligation", failure.obligation), ("step", failure.step), ("expected", expected)]
    rows.append(("observed", f"it {what}: correct the target's list of known failures"))
    head = Text("KNOWN FAILURE  ", style=STYLES[Grade.WEAK])
    return Group(Rule(), Hanging(head, escaped(failure.case, style="bold")), *_rows(rows))


def _cured(failures: Sequence[KnownFailure]) -> list[RenderableType]:
    """Return a block for each cause of known failures of the shipped target that this configuration does not have."""
    cases: dict[str, list[str]] = {}
    for one in failures:
        if one.case not in cases.setdefault(one.reason, []):
            cases[one.reason].append(one.case)
    return [
        Group(
            Rule(),
            Hanging(Text("BETTER  ", style=STYLES[Grade.PASS]), Text(f"than the shipped {failures[0].inherited_from}")),
            *_rows((("known there", reason), ("passes here", ", ".join(names)))),
        )
        for reason, names in cases.items()
    ]


def diagnoses_page(record: Record) -> RenderableType:
    """Return a block for each diagnosis of the target's configuration, with its own words."""
    parts: list[RenderableType] = []
    for fact in diagnoses_of(record):
        head = Text("DIAGNOSIS  ", style=STYLES[Grade.FAIL])
        rows = [("because", fact.means), ("it says", fact.quoted), ("what to do", fact.remedy)]
        parts += [Rule(), Hanging(head, escaped(fact.code, style="bold")), *_rows(rows), Text()]
    return Group(*parts)


def _rows(rows: Iterable[tuple[str, str]]) -> list[Hanging]:
    return [labelled(label, shortened(text, _LONGEST), width=_LABEL) for label, text in rows if text]


def summary_page(summary: Summary) -> RenderableType:
    """Return what a run comes to: the line that counts, and what the words in it and in the answer mean."""
    words = {grade.value: GRADES[grade] for grade, count in summary.counts.items() if count}
    words |= {HARMS[harm][0]: HARMS[harm][1] for harm in HARMS if summary.harms.get(harm)}
    again = [Hanging(Text(), Text(played_again_line(summary)))] if summary.played_again else []
    return Group(*again, Hanging(Text(), summary_line(summary)), *([explained(words)] if words else []))


def played_again_line(summary: Summary) -> str:
    """Return which cases were played again because too little was proved at first, and what each play came to."""
    named = [f"{escape_unprintable(case)} ({', then '.join(grades)})" for case, *grades in summary.played_again]
    more = len(named) - _MOST_NAMED
    rest = f" and {more} more (`earlier_plays` in verdicts.json)" if more > 0 else ""
    return f"Played again, one at a time, because too little was proved: {', '.join(named[:_MOST_NAMED])}{rest}."


#: So many cases that were played again are named.
_MOST_NAMED = 6


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def summary_line(summary: Summary) -> Text:
    """Return the one line that counts: `72 cases: 60 pass, 2 weak, 10 fail. Findings: at least one case failed.`"""
    line = Text(_cases(summary.cases), style="bold")
    counted = [(word, count) for word, count in summary.counts.items() if count]
    for number, (word, count) in enumerate(counted):
        line.append(", " if number else ": ", style="none")
        line.append(f"{count} {word.value}", style=STYLES[word])
    if summary.unjudged:
        line.append(f", {len(summary.unjudged)} without a verdict", style=STYLES[Grade.INCONCLUSIVE])
    if summary.known:
        line.append(f" ({len(summary.known)} of them known failures)")
    line.append(_of_the_run(summary))
    line.append(f". {summary.meaning[:1].upper()}{summary.meaning[1:]}")
    line.append("." if summary.complete else "; the run was interrupted, or a shard is missing.")
    return line


def _of_the_run(summary: Summary) -> str:
    """Return how many findings the run has beside those of its cases: `; of the run 2 weak (both known)`."""
    if not summary.of_the_run:
        return ""
    counts = Counter(one.grade.value for one in summary.of_the_run)
    listed = ", ".join(f"{count} {grade}" for grade, count in counts.items())
    known = len(summary.known_of_the_run)
    which = "known" if known == len(summary.of_the_run) else f"{known} of them known"
    return f"; of the run: {listed}" + (f" ({which})" if known else "")


def _judgement_rows(
    judgement: Judgement, grade: Grade, requirements: Mapping[str, Requirement], others: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield what is printed of a judgement in a case of some grade. An obligation that is not given has no text."""
    requirement = requirements.get(judgement.obligation)
    if requirement:
        where = f"{level_phrase(requirement.level)}, RFC {requirement.rfc} section {requirement.section}"
        yield "obligation", f"{requirement.id} ({where}): {requirement.text}"
    else:
        yield "obligation", judgement.obligation
    yield "others", f"in other cases {', '.join(others)}" if others else ""
    lesser = "" if judgement.grade is grade else f"{judgement.grade.value}: "
    yield "check", f"{lesser}{judgement.check} ({judgement.reason})"
    yield from (("step", judgement.step), ("expected", judgement.expected), ("observed", judgement.observed))
    yield "harm", ": ".join(HARMS.get(judgement.harm, ()))
    yield "to blame", BLAMED.get(judgement.blame, judgement.blame)
    numbers = ", ".join(map(str, judgement.evidence))
    yield "events", f"{numbers} of the record" if numbers else ""


#: Characters of a value in its cell. A domain of the lab's fits twice.
_LONGEST_FIELD = 60


def report_page(comparisons: Sequence[Comparison]) -> RenderableType:
    """Return a block for each TLS report: every field beside what the lab saw."""
    parts: list[RenderableType] = []
    for comparison in comparisons:
        parts += [Text(), Rule(), escaped(f"Report  {comparison.case}", "bold")]
        parts += [paragraph(comparison.where, indent=2, style="dim"), _fields(comparison)]
        parts += [paragraph(f"also: {further}", indent=2) for further in comparison.further]
        if comparison.lesson:
            parts.append(paragraph(f'It tells the domain: "{comparison.lesson}."', indent=2, style="bold"))
    if parts:
        found = {field.grade for comparison in comparisons for field in comparison.fields}
        words = {grade.value: GRADES[grade] for grade in GRADES if grade in found}
        words['counts such as "1 to 2"'] = "it is not certain that every session belongs into this report"
        parts += [Text(), explained(words), Text()]
    return Group(*parts)


def _fields(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=True, header_style="bold")
    for name, width in (("field", 19), ("the lab saw", 25), ("the report says", 24), ("verdict", None)):
        table.add_column(name, width=width, overflow="fold")
    for field in comparison.fields:
        texts = (field.name, field.seen or "-", field.reported or "nothing")
        table.add_row(
            *(Text(shortened(text, _LONGEST_FIELD)) for text in texts),
            Text(field.grade.value, style=STYLES[field.grade]),
        )
    return table
