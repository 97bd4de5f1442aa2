"""The TLS reports of a run, each beside what the lab saw: what the owner of a domain would have learnt from it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mta_sts_lab.judge.comparison import Comparison
from mta_sts_lab.reports.escaping import escape_unprintable, shortened
from mta_sts_lab.reports.layout import Rule, paragraph
from mta_sts_lab.reports.terminal import STYLES

#: Characters of a value in its cell. A domain of the lab's fits twice.
_LONGEST = 60


def report_page(comparisons: Sequence[Comparison]) -> RenderableType:
    """Return a block for each report. Foreign text is made visible here."""
    parts: list[RenderableType] = []
    for comparison in comparisons:
        parts += [Text(), Rule(), Text(f"Report  {escape_unprintable(comparison.case)}", style="bold")]
        parts += [paragraph(escape_unprintable(comparison.where), indent=2, style="dim"), _table(comparison)]
        parts += [paragraph(f"also: {escape_unprintable(further)}", indent=2) for further in comparison.further]
        if comparison.lesson:
            parts += [
                paragraph(f'It tells the domain: "{escape_unprintable(comparison.lesson)}."', indent=2, style="bold")
            ]
    return Group(*parts)


def _table(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="bold")
    for name, width in (("field", 19), ("the lab saw", 23), ("the report says", 23), ("verdict", None)):
        table.add_column(name, width=width, overflow="fold")
    for field in comparison.fields:
        cells = (Text(shortened(text, _LONGEST)) for text in (field.name, field.seen or "-", field.told or "nothing"))
        table.add_row(*cells, Text(field.grade.value, style=STYLES[field.grade]))
    return table
