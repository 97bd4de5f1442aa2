"""The matrix in a terminal: the targets, the legend, a line for each case with a letter for each target, the totals.

Columns are numbered, so that twenty of them fit. Cases that pass in every column are one line for each family unless
all are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from mta_sts_lab.reports.escaping import escape_unprintable, shortened
from mta_sts_lab.reports.layout import Hanging, Rule, escaped, paragraph
from mta_sts_lab.reports.matrix.table import HARM, LETTERS, REASONS, Cell, Column, Family, Matrix, Row, State, folded
from mta_sts_lab.reports.terminal import STYLES

#: Cells. The longest case is "certificate-failures[enforce,missing-intermediate]", below the name of its family.
_CASE = 50

#: Cells that a column takes: "F*" and a blank, or a number of two digits and a blank.
_COLUMN = 3


def matrix_page(matrix: Matrix, every_case: bool = False, brief: bool = False) -> RenderableType:
    """Return the whole matrix. `brief` leaves out the cases and shows a line a family."""
    parts: list[RenderableType] = [_head(column) for column in matrix.columns]
    parts += [Text(), *_legend(matrix, brief)]
    width = min(max((len(_name(row)) for row in matrix.rows), default=0), _CASE) + 2
    for family in matrix.families:
        parts += [Text(), *(_brief(matrix, family) if brief else _family(matrix, family, width, every_case))]
    for column in () if brief else matrix.columns:
        parts += _causes(column)
    parts += [Text(), Rule(), *(_total(column) for column in matrix.columns)]
    if any(column.totals.harm for column in matrix.columns):
        parts += [Text(), Hanging(Text(), Text(HARM, style="dim"))]
    return Group(*parts)


def _head(column: Column) -> RenderableType:
    text = escaped(column.label, style="bold")
    text.append(f"  {escape_unprintable(column.versions)}", style="none")
    text.append(f"  {column.date}, run {escape_unprintable(column.run.run)}", style="dim")
    if column.reservations:
        text.append(f"  {column.reservations}", style="yellow")
    return Hanging(Text(f"{column.key:>2}  ", style="bold"), text)


def _legend(matrix: Matrix, brief: bool) -> list[RenderableType]:
    rows: list[RenderableType] = []
    for letter, grade, meaning in matrix.legend:
        rows.append(
            Hanging(Text(letter.ljust(3), style=STYLES[grade] if grade else "bold"), Text(meaning, style="dim"))
        )
    return rows if brief else [*rows, paragraph(REASONS, style="dim")]


def _family(matrix: Matrix, family: Family, width: int, every_case: bool) -> list[RenderableType]:
    rows, rest = (family.rows, "") if every_case else folded(family.rows)
    heading = Text(shortened(family.name, width).ljust(width + 2), style="bold", no_wrap=True, overflow="ignore")
    if rows:
        for column in matrix.columns:
            heading.append(str(column.key).ljust(_COLUMN), style="dim")
    heading.rstrip()
    parts: list[RenderableType] = [heading]
    parts += [_row(row, width) for row in rows]
    if rest:
        parts.append(Hanging(Text("  "), Text(rest, style="dim")))
    return parts


@dataclass(frozen=True, slots=True)
class _RowLine:
    """A case's letters, and its reason codes beside them where they fit, below them where they do not."""

    letters: Text
    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        beside = self.letters.cell_len + cell_len(self.text) <= options.max_width
        line = self.letters.copy()
        if beside:
            line.append(self.text, style="dim")
        line.rstrip()
        yield line
        if not beside:
            yield Hanging(Text("      "), Text(self.text, style="dim"))


def _row(row: Row, width: int) -> RenderableType:
    line = Text("  " + shortened(_name(row), width - 2).ljust(width), no_wrap=True, overflow="ignore")
    for cell in row.cells:
        line.append(cell.letter.ljust(_COLUMN), style=_style(cell))
    said = (f"{escape_unprintable(reason)}{_columns(keys, len(row.cells))}" for reason, keys in row.reasons)
    return _RowLine(line, "; ".join(said))


def _name(row: Row) -> str:
    """A case without its family, which stands above."""
    return row.case.partition("/")[2] or row.case


def _columns(keys: tuple[int, ...], all_: int) -> str:
    """The columns that have a reason, said only where there is more than one to choose from."""
    if all_ == 1:
        return ""
    return " (all)" if len(keys) == all_ else f" ({' '.join(map(str, keys))})"


def _brief(matrix: Matrix, family: Family) -> list[RenderableType]:
    cases = len(family.rows)
    parts: list[RenderableType] = [
        Text(f"{escape_unprintable(family.name)}  {cases} case{'' if cases == 1 else 's'}", style="bold")
    ]
    for column, totals in zip(matrix.columns, family.totals, strict=True):
        line = Text(f"  {column.key:>2}  ")
        for letter, grade, count in totals.counted:
            line.append(f"{letter} {count}".ljust(7), style=STYLES[grade] if grade else "bold")
        line.rstrip()
        parts.append(line if totals.run else Text(f"  {column.key:>2}  not run", style="dim"))
    return parts


def _causes(column: Column) -> list[RenderableType]:
    """Return the findings of a column by their causes; nothing where there are none."""
    lines: list[RenderableType] = (
        [Text(), escaped(f"{column.label}: findings by cause", "bold")] if column.causes else []
    )
    for cause in column.causes:
        letter = Text(f"  {LETTERS[cause.grade]}  ", style=STYLES[cause.grade])
        lines.append(
            Hanging(letter, Text(f"{cause.where}: {escape_unprintable('; '.join(cause.findings) or _NOTHING)}"))
        )
    return lines


#: What a cause is called in which no check found anything: nothing was proved.
_NOTHING = "no check came to a result"


def _total(column: Column) -> RenderableType:
    text = escaped(f"{column.label}: ", "bold")
    text.append(f"{column.totals.run} case{'s' if column.totals.run != 1 else ''}", style="none")
    for number, (_, grade, count) in enumerate(column.totals.counted):
        text.append(", " if number else ": ", style="none")
        word = grade.value if grade else "without a verdict"
        text.append(f"{count} {word}", style=STYLES[grade] if grade else "bold")
    if column.totals.known:
        text.append(f" ({column.totals.known} known failure{'' if column.totals.known == 1 else 's'})", style="none")
    if column.totals.harm:
        text.append(f"; {column.totals.harm}", style="bold")
    return Hanging(Text(f"{column.key:>2}  ", style="bold"), text)


def _style(cell: Cell) -> str:
    if cell.grade is None:
        return "bold" if cell.state is State.UNJUDGED else ""
    return STYLES[cell.grade]
