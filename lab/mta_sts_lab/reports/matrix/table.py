"""The matrix: columns, rows by family, their order, what they add up to, and the words that all its forms share.

Targets, families and cases are sorted with the worst first. A failure weighs more than any number of lesser findings;
among targets, mail that got out against an enforced policy weighs more than any other failure. A known failure counts
like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from mta_sts_lab.model.grading import MERGE_ORDER, Grade
from mta_sts_lab.model.verdict import Harm, Verdict
from mta_sts_lab.reports.causes import CauseLine, cause_lines
from mta_sts_lab.reports.command_line import deciding_options
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import GRADES, HARMS
from mta_sts_lab.reports.verdicts_reading import JudgedRun

#: The grades by which rows, columns and families are sorted, worst first.
SEVERITY = tuple(grade for grade in reversed(MERGE_ORDER) if grade is not Grade.PASS)

#: A verdict in one letter. `N` stands for "nothing proved".
LETTERS: Mapping[Grade, str] = {
    Grade.PASS: "P",
    Grade.INFO: "I",
    Grade.WEAK: "W",
    Grade.UNSUPPORTED: "U",
    Grade.INCONCLUSIVE: "N",
    Grade.LAB_ERROR: "E",
    Grade.FAIL: "F",
}

#: The letter of a case that was played and never judged, and what stands behind the letter of a known failure.
UNJUDGED_LETTER, KNOWN_MARK = "?", "*"

HARM = f"Let out: delivered, or read on the way, against an enforced policy. Kept back: {HARMS[Harm.KEPT_BACK][1]}."

#: How to read a line of a case.
REASONS = "Behind a case: the judge's reason for each finding, and in brackets the columns that have it."


#: What has to be known of a run by its `--family`; by default hosts have IPv4 addresses.
_WORLDS = {"ipv6": "all hosts had IPv6 addresses alone", "both": "all hosts had addresses of both families"}


class State(StrEnum):
    """Whether there is a verdict in a cell."""

    JUDGED = "judged"
    UNJUDGED = "unjudged"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Cell:
    """One case in one run. `grade` is None unless it was judged; `reason` is empty for a pass."""

    state: State
    grade: Grade | None = None
    reason: str = ""
    known: bool = False
    harm: Harm = Harm.NONE

    @property
    def letter(self) -> str:
        """The verdict in one letter, with a star where it was known before; empty for what was not run."""
        if self.grade is None:
            return UNJUDGED_LETTER if self.state is State.UNJUDGED else ""
        return LETTERS[self.grade] + (KNOWN_MARK if self.known else "")

    @property
    def silent(self) -> bool:
        """Whether there is nothing to say of it: a pass, a thing not claimed, a case not run."""
        return self.state is State.NOT_RUN or self.grade in (Grade.PASS, Grade.UNSUPPORTED)


NOT_RUN = Cell(State.NOT_RUN)


@dataclass(frozen=True, slots=True)
class Totals:
    """Cells counted. All of them together are `cells`; `known` are some of those with a verdict.

    `let_out` and `kept_back` say in how many cases mail came to harm; what an outsider read was let out, too.
    """

    counts: Mapping[Grade, int]
    unjudged: int
    not_run: int
    known: int
    let_out: int
    kept_back: int

    @property
    def run(self) -> int:
        """How many cases were selected and played."""
        return sum(self.counts.values()) + self.unjudged

    @property
    def cells(self) -> int:
        """How many cells were counted."""
        return self.run + self.not_run

    @property
    def counted(self) -> tuple[tuple[str, Grade | None, int], ...]:
        """Letter, verdict and count of whatever occurs, worst first."""
        found: list[tuple[str, Grade | None, int]] = [
            (LETTERS[grade], grade, self.counts[grade]) for grade in reversed(list(GRADES)) if self.counts[grade]
        ]
        return (*found, (UNJUDGED_LETTER, None, self.unjudged)) if self.unjudged else tuple(found)

    @property
    def harm(self) -> str:
        """In how many cases mail came to harm, in words; empty if in none."""
        said = [f"let mail out in {self.let_out}"] if self.let_out else []
        said += [f"kept mail back in {self.kept_back}"] if self.kept_back else []
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Row:
    """One case: a cell for each column."""

    case: str
    cells: tuple[Cell, ...]

    @property
    def silent(self) -> bool:
        """Whether no column has anything to say of the case."""
        return all(cell.silent for cell in self.cells)

    @property
    def reasons(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Each reason code and the keys of the columns that have it, the worst verdict's first."""
        found: dict[str, list[int]] = {}
        for key, cell in sorted(enumerate(self.cells, start=1), key=lambda pair: rank(pair[1].grade)):
            if cell.reason:
                found.setdefault(cell.reason, []).append(key)
        return tuple((reason, tuple(sorted(keys))) for reason, keys in found.items())


@dataclass(frozen=True, slots=True)
class Family:
    """The cases of one folder of scenarios, and what each column makes of them."""

    name: str
    rows: tuple[Row, ...]
    totals: tuple[Totals, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One run. `label` is unlike that of every other column, `key` is its number from 1 on."""

    key: int
    label: str
    run: JudgedRun
    totals: Totals

    @property
    def causes(self) -> tuple[CauseLine, ...]:
        """The findings of the run by their causes, the gravest first."""
        return cause_lines(self.run.verdicts, self.run.known, self.run.known_of_the_run)

    @property
    def versions(self) -> str:
        """What the target's parts are, as it says itself: `postfix 3.10.13, openssl 3.5.9`."""
        return ", ".join(f"{part} {version}" for part, version in self.run.versions.items())

    @property
    def date(self) -> str:
        """When the run began, to the minute, in the time zone of its record."""
        return f"{datetime.fromisoformat(self.run.started):%Y-%m-%d %H:%M}"

    @property
    def reservations(self) -> str:
        """What has to be known of a run before its verdicts are read; empty for a whole one."""
        folder = folder_of(self.run.command)
        said = [f"the folder {escape_unprintable(folder)}"] if folder else []
        said += [_WORLDS[word] for word in _typed(self.run.command, "--family") if word in _WORLDS]
        said += [] if self.run.complete else ["interrupted: not every case was played"]
        said += ["black box: no hook of the target was used"] if self.run.black_box else []
        if missing := self.totals.not_run:
            said.append(f"{missing} {'case of others was' if missing == 1 else 'cases of others were'} not run")
        if better := self.run.better_than_packaged:
            said.append(f"configured better than what its users install: {escape_unprintable(', '.join(better))}")
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Runs beside each other."""

    columns: tuple[Column, ...]
    families: tuple[Family, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, in the order of the families."""
        return tuple(row for family in self.families for row in family.rows)

    @property
    def uneven(self) -> bool:
        """Whether some case was run in one column and not in another."""
        return any(column.totals.not_run for column in self.columns)

    @property
    def legend(self) -> tuple[tuple[str, Grade | None, str], ...]:
        """Letter, verdict and meaning of whatever occurs in the matrix."""
        totals = [column.totals for column in self.columns]
        rows: list[tuple[str, Grade | None, str]] = [
            (LETTERS[grade], grade, f"{grade.value}: {GRADES[grade]}")
            for grade in reversed(list(GRADES))
            if any(one.counts[grade] for one in totals)
        ]
        if any(one.known for one in totals):
            rows.append((KNOWN_MARK, None, "on the list of known failures of this target, with the reason"))
        if any(one.unjudged for one in totals):
            rows.append((UNJUDGED_LETTER, None, "played, without a verdict"))
        return (*rows, ("", None, "empty: not run in that column")) if self.uneven else tuple(rows)


def matrix_of(runs: Sequence[JudgedRun]) -> Matrix:
    """Put runs beside each other. A control case that nobody selected makes no row."""
    cells = [_cells(run) for run in runs]
    order = sorted(range(len(runs)), key=lambda number: _column_key(runs, cells, number))
    runs, cells = [runs[number] for number in order], [cells[number] for number in order]
    rows = [Row(case, tuple(column.get(case, NOT_RUN) for column in cells)) for case in _cases(cells)]
    labels = _labels(runs)
    columns = tuple(
        Column(number + 1, labels[number], run, _totals(row.cells[number] for row in rows))
        for number, run in enumerate(runs)
    )
    by_family: dict[str, list[Row]] = {}
    for row in rows:
        by_family.setdefault(family_of(row.case), []).append(row)
    families = [_family(name, found, len(runs)) for name, found in by_family.items()]
    families.sort(key=lambda family: severity(cell for row in family.rows for cell in row.cells))
    return Matrix(columns, tuple(families))


def family_of(case: str) -> str:
    """Return the family of a case: `starttls` of `starttls/strip[enforce]`."""
    return case.partition("/")[0]


def severity(cells: Iterable[Cell]) -> tuple[int, ...]:
    """Return a key by which the worst comes first: more failures, then more of the next grade, and so on."""
    counted = Counter(cell.grade for cell in cells)
    return tuple(-counted[grade] for grade in SEVERITY)


def rank(grade: Grade | None) -> int:
    """Return a key by which the worst of some grades comes first."""
    return SEVERITY.index(grade) if grade in SEVERITY else len(SEVERITY)


def reason_of(verdict: Verdict) -> str:
    """Return the reason code of a verdict that is not a pass: that of its first judgement of the same grade."""
    if verdict.grade is Grade.PASS:
        return ""
    codes = (judgement.reason for judgement in verdict.judgements if judgement.grade is verdict.grade)
    return next(codes, "nothing-judged")


def _cells(run: JudgedRun) -> dict[str, Cell]:
    """The cells of one column, in the run's own order."""
    cells = {
        verdict.case: Cell(State.JUDGED, verdict.grade, reason_of(verdict), verdict.case in run.known, verdict.harm)
        for verdict in run.verdicts
        if not verdict.control_only
    }
    return cells | {case: Cell(State.UNJUDGED, reason="no-verdict") for case in run.unjudged if case not in cells}


def _cases(columns: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Every case that some run has, the worst first; equals stay as the catalogue has them."""
    cases = dict.fromkeys(case for column in columns for case in column)
    return sorted(cases, key=lambda case: severity(column.get(case, NOT_RUN) for column in columns))


def _column_key(
    runs: Sequence[JudgedRun], cells: Sequence[Mapping[str, Cell]], number: int
) -> tuple[tuple[int, ...], str, str, str]:
    """The worst target first: who lets mail out, then who fails. Runs of one target stand together, by date."""
    run = runs[number]
    of_target = [column for other, column in zip(runs, cells, strict=True) if other.target == run.target]
    worst = min((-_let_out(column.values()), *severity(column.values())) for column in of_target)
    return worst, run.target, run.started, run.run


def _family(name: str, rows: Sequence[Row], columns: int) -> Family:
    return Family(name, tuple(rows), tuple(_totals(row.cells[number] for row in rows) for number in range(columns)))


def _totals(cells: Iterable[Cell]) -> Totals:
    listed = list(cells)
    counted = Counter(cell.grade for cell in listed)
    states = Counter(cell.state for cell in listed)
    return Totals(
        counts={word: counted[word] for word in GRADES},
        unjudged=states[State.UNJUDGED],
        not_run=states[State.NOT_RUN],
        known=sum(cell.known for cell in listed),
        let_out=_let_out(listed),
        kept_back=sum(cell.harm is Harm.KEPT_BACK for cell in listed),
    )


def _let_out(cells: Iterable[Cell]) -> int:
    return sum(cell.harm in (Harm.LET_OUT, Harm.READ) for cell in cells)


def _labels(runs: Sequence[JudgedRun]) -> list[str]:
    """The target's name, and as much of the date as tells several runs of one target apart."""
    labels = []
    for run in runs:
        twins = [other for other in runs if other.target == run.target and other is not run]
        moments = _moments(run)
        apart = (moment for moment in moments if all(moment not in _moments(twin) for twin in twins))
        labels.append(f"{run.target}, {next(apart, run.run)}" if twins else run.target)
    return labels


def _moments(run: JudgedRun) -> tuple[str, str]:
    return run.started[:10], run.started[:19].replace("T", " ")


def folder_of(command: Sequence[str]) -> str:
    """Return the folder that a run's target was typed as; empty for one that came with the lab and has a name.

    The matrix calls a target by what it says itself, and somebody's own folder may say anything.
    """
    typed = _typed(command, "--target")
    return next((name for name in typed if "/" in name or name.startswith(".")), "")


def _typed(command: Sequence[str], option: str) -> list[str]:
    """Return the values with which an option was typed."""
    options = list(deciding_options(command))
    typed = [word.partition("=")[2] for word in options if word.startswith(f"{option}=")]
    return typed + [value for name, value in pairwise(options) if name == option]


def folded(rows: Sequence[Row]) -> tuple[tuple[Row, ...], str]:
    """Return the rows that have something to say, and a sentence on the rest; empty where there is no rest.

    A column that did not run a case says nothing of it, and does not pass it either.
    """
    shown = tuple(row for row in rows if not row.silent)
    rest = [row for row in rows if row.silent]
    if not rest:
        return shown, ""
    words = dict.fromkeys(
        word.value for word in GRADES if any(cell.grade is word for row in rest for cell in row.cells)
    )
    which = f"{len(rest)} {'more ' if shown else ''}case{'' if len(rest) == 1 else 's'}"
    gaps = any(cell.state is State.NOT_RUN for row in rest for cell in row.cells)
    where = f"in every column that ran {'it' if len(rest) == 1 else 'them'}" if gaps else "in every column"
    return shown, f"{which}: {' or '.join(words)} {where}"
