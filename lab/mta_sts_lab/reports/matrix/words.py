"""The words that all forms of the matrix share: legend, versions, dates, totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from mta_sts_lab.model import Grade, Harm
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import GRADES, HARMS
from mta_sts_lab.reports.matrix.table import (
    KNOWN_MARK,
    LETTERS,
    UNJUDGED_LETTER,
    Column,
    Matrix,
    Row,
    Totals,
    rank,
)
from mta_sts_lab.reports.terminal import deciding_options

#: The colour of each verdict, by name; each form shows it by its own means.
COLOURS: Mapping[Grade, str] = {
    Grade.PASS: "green",
    Grade.INFO: "blue",
    Grade.WEAK: "yellow",
    Grade.UNSUPPORTED: "grey",
    Grade.INCONCLUSIVE: "purple",
    Grade.LAB_ERROR: "brown",
    Grade.FAIL: "red",
}

HARM = f"Let out: delivered, or read on the way, against an enforced policy. Kept back: {HARMS[Harm.KEPT_BACK][1]}."

#: How to read a line of a case.
REASONS = "Behind a case: the judge's reason for each finding, and in brackets the columns that have it."


def versions_of(column: Column) -> str:
    """Return what a target's parts are, as it says itself: `postfix 3.10.13, openssl 3.5.9`."""
    return ", ".join(f"{part} {version}" for part, version in column.run.versions.items())


def date_of(column: Column) -> str:
    """Return when a run began, to the minute, in the time zone of its record. Nothing of foreign text is left in it."""
    return f"{datetime.fromisoformat(column.run.started):%Y-%m-%d %H:%M}"


def folder_of(command: Sequence[str]) -> str:
    """Return the folder that a run's target was typed as; empty for one that came with the lab and has a name.

    What a target is called in the matrix is what it says itself, and a folder of somebody's own may say anything.
    """
    options = list(deciding_options(command))
    typed = [word.partition("=")[2] for word in options if word.startswith("--target=")]
    typed += [name for option, name in pairwise(options) if option == "--target"]
    return next((name for name in typed if "/" in name or name.startswith(".")), "")


def reservations(column: Column) -> str:
    """Return what has to be said of a run before its verdicts are read; empty for a whole one."""
    folder = folder_of(column.run.command)
    said = [f"the folder {escape_unprintable(folder)}"] if folder else []
    said += [] if column.run.complete else ["interrupted: not every case was played"]
    if column.run.black_box:
        said.append("black box: nothing but mail was asked of it")
    if column.totals.not_run:
        missing = column.totals.not_run
        said.append(f"{missing} {'case of others was' if missing == 1 else 'cases of others were'} not run")
    return "; ".join(said)


def legend(matrix: Matrix) -> tuple[tuple[str, Grade | None, str], ...]:
    """Return letter, verdict and meaning of whatever occurs in a matrix, and of what is special in it."""
    found = [word for word in reversed(list(GRADES)) if any(column.totals.counts[word] for column in matrix.columns)]
    rows: list[tuple[str, Grade | None, str]] = [
        (LETTERS[word], word, f"{word.value}: {GRADES[word]}") for word in found
    ]
    if any(column.totals.known for column in matrix.columns):
        rows.append((KNOWN_MARK, None, "on the list of known failures of this target, with the reason"))
    if any(column.totals.unjudged for column in matrix.columns):
        rows.append((UNJUDGED_LETTER, None, "played, without a verdict"))
    if matrix.uneven:
        rows.append(("", None, "empty: not run in that column"))
    return tuple(rows)


def reasons(row: Row) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return each reason code of a row, and the keys of the columns that have it, the worst verdict's first."""
    found: dict[str, list[int]] = {}
    numbered = sorted(enumerate(row.cells, start=1), key=lambda pair: rank(pair[1].grade))
    for key, cell in numbered:
        if cell.reason:
            found.setdefault(cell.reason, []).append(key)
    return tuple((reason, tuple(sorted(keys))) for reason, keys in found.items())


def folded(rows: Sequence[Row]) -> tuple[tuple[Row, ...], str]:
    """Return the rows that have something to say, and a sentence on the rest; empty where there is no rest."""
    told = tuple(row for row in rows if not row.silent)
    rest = [row for row in rows if row.silent]
    if not rest:
        return told, ""
    words = dict.fromkeys(
        word.value for word in GRADES if any(cell.grade is word for row in rest for cell in row.cells)
    )
    which = f"{len(rest)} {'more ' if told else ''}case{'' if len(rest) == 1 else 's'}"
    return told, f"{which}: {' or '.join(words)} in every column"


def counted(totals: Totals) -> tuple[tuple[str, Grade | None, int], ...]:
    """Return what a column counts, worst first: letter, verdict, and how many; nothing that does not occur."""
    found: list[tuple[str, Grade | None, int]] = [
        (LETTERS[word], word, totals.counts[word]) for word in reversed(list(GRADES)) if totals.counts[word]
    ]
    return (*found, (UNJUDGED_LETTER, None, totals.unjudged)) if totals.unjudged else tuple(found)


def harm(totals: Totals) -> str:
    """Return in how many cases mail came to harm, in words; empty if in none."""
    said = [f"let mail out in {totals.let_out}"] if totals.let_out else []
    said += [f"kept mail back in {totals.kept_back}"] if totals.kept_back else []
    return ", ".join(said)
