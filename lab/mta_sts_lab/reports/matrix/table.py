"""The matrix itself, before anything of it is shown: columns, rows by family, their order, and what they add up to.

Worst first, everywhere: the targets from left to right, the families and the cases in them from top to bottom. A
failure weighs more than any number of lesser findings, and among targets mail that got out against an enforced policy
more than any other failure; a known failure is a failure like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mta_sts_lab.model import MERGE_ORDER, Grade, Harm, Verdict
from mta_sts_lab.reports.glossary import GRADES
from mta_sts_lab.reports.verdicts_reading import JudgedRun

#: Worst first: what puts one row, column or family before another. What passes does not, nor what was not claimed.
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


@dataclass(frozen=True, slots=True)
class Row:
    """One case: a cell for each column."""

    case: str
    cells: tuple[Cell, ...]

    @property
    def silent(self) -> bool:
        """Whether no column has anything to say of the case."""
        return all(cell.silent for cell in self.cells)


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


def matrix_of(runs: Sequence[JudgedRun]) -> Matrix:
    """Put runs beside each other. A control arm that nobody selected, only played for another case, makes no row."""
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
        if not verdict.supporting
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
        told = _moments(run)
        apart = (moment for moment in told if all(moment not in _moments(twin) for twin in twins))
        labels.append(f"{run.target}, {next(apart, run.run)}" if twins else run.target)
    return labels


def _moments(run: JudgedRun) -> tuple[str, str]:
    return run.started[:10], run.started[:19].replace("T", " ")
