"""The matrix in Markdown, for a README or a comment: what ran, then a table a family. Squares stand for the colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.causes import CauseLine
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.matrix.table import HARM, KNOWN_MARK, LETTERS, Cell, Family, Matrix, State, Totals, folded

#: Markdown has no colours; these squares have, in every viewer.
SQUARES: Mapping[Grade, str] = {
    Grade.PASS: "🟩",
    Grade.INFO: "🟦",
    Grade.WEAK: "🟨",
    Grade.UNSUPPORTED: "⬜",
    Grade.INCONCLUSIVE: "🟪",
    Grade.LAB_ERROR: "🟫",
    Grade.FAIL: "🟥",
}

_WORST = "Of each family the worst verdict, and in how many cases:"

#: A star that marks no emphasis.
_STAR = "\\*"

#: What may begin markup inside a line or a cell, an HTML entity, a mention, or a link that nobody marked as one.
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&@:]|(?<=www)\.")


def matrix_markdown(matrix: Matrix, every_case: bool = False, brief: bool = False) -> str:
    """Return the whole matrix. `brief` has a line a family instead of a table a family, and of each the worst alone."""
    blocks = [_targets(matrix, brief), _legend(matrix)]
    if brief:
        blocks += [_WORST, _families(matrix)]
    else:
        blocks += [_family(matrix, family, every_case) for family in matrix.families]
        blocks += _causes(matrix)
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Return foreign text that Markdown takes for nothing but text, also inside a table."""
    return _SPECIAL.sub(r"\\\g<0>", escape_unprintable(text))


def code(text: str) -> str:
    """Return foreign text as code inside a table: a backtick cannot end it, nor a bar the cell."""
    return "`" + escape_unprintable(text).replace("`", "'").replace("|", "\\|") + "`"


def _targets(matrix: Matrix, brief: bool) -> str:
    rows = []
    for column in matrix.columns:
        versions = column.versions.partition(", ")[0] if brief else column.versions
        about = "; ".join(part for part in map(escaped, (versions, column.reservations)) if part)
        cells = [f"**{escaped(column.label)}**", about, column.date, str(column.totals.run), _counts(column.totals)]
        cells.append(column.totals.harm)
        rows.append(cells)
    return _table(["target", "versions", "run on", "cases", "verdicts", "mail"], rows)


def _legend(matrix: Matrix) -> str:
    parts = []
    for letter, grade, meaning in matrix.legend:
        square = f"{SQUARES[grade]} " if grade else ""
        shown = _STAR if letter == KNOWN_MARK else letter
        parts.append(f"{square}{shown} {meaning}".strip())
    return "; ".join(parts) + f". {HARM}"


def _families(matrix: Matrix) -> str:
    head = ["family", *(escaped(column.label) for column in matrix.columns)]
    return _table(head, [[code(family.name), *map(_worst, family.totals)] for family in matrix.families])


def _family(matrix: Matrix, family: Family, every_case: bool) -> str:
    rows, rest = (family.rows, "") if every_case else folded(family.rows)
    blocks = [f"### {escaped(family.name)}"]
    if rows:
        head = ["case", *(escaped(column.label) for column in matrix.columns)]
        blocks.append(_table(head, [[code(row.case), *map(_cell, row.cells)] for row in rows]))
    if rest:
        blocks.append(f"{rest[:1].upper()}{rest[1:]}.")
    return "\n\n".join(blocks)


def _causes(matrix: Matrix) -> list[str]:
    rows = [
        [f"**{escaped(column.label)}**", f"{SQUARES[one.grade]} {LETTERS[one.grade]}", one.where, _found(one)]
        for column in matrix.columns
        for one in column.causes
    ]
    return ["### Findings by cause", _table(["target", "verdict", "seen in", "findings"], rows)] if rows else []


def _found(cause: CauseLine) -> str:
    return "; ".join(map(escaped, cause.findings)) or "no check came to a result"


def _cell(cell: Cell) -> str:
    if cell.state is State.NOT_RUN:
        return ""
    square = f"{SQUARES[cell.grade]} " if cell.grade else ""
    reason = f" {escaped(cell.reason)}" if cell.reason else ""
    return f"{square}{cell.letter.replace(KNOWN_MARK, _STAR)}{reason}"


def _counts(totals: Totals) -> str:
    shown = [f"{SQUARES[grade] if grade else ''} {count} {letter}".strip() for letter, grade, count in totals.counted]
    if totals.known:
        shown.append(f"({totals.known} known)")
    return " ".join(shown)


def _worst(totals: Totals) -> str:
    """Return the square of the worst verdict, and in how many cases it is.

    A pass comes behind a case without a verdict, and what is not claimed comes last. A green square alone stands for
    all cases: where some were not run it says how many were.
    """
    last = (None, Grade.PASS, Grade.UNSUPPORTED)
    shown = sorted(totals.counted, key=lambda one: last.index(one[1]) if one[1] in last else -1)
    if not shown:
        return ""
    letter, grade, count = shown[0]
    square = SQUARES[grade] if grade else letter
    if grade not in (Grade.PASS, Grade.UNSUPPORTED):
        return f"{square} {count}"
    return f"{square} {totals.run} of {totals.cells}" if totals.not_run else square


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
