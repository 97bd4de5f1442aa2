"""The matrix as one HTML page that needs no server and asks for nothing: the table, and behind each cell its evidence.

The table is plain HTML, made by a template that escapes whatever it is given. The evidence is JSON, deflated, in
blocks: a browser unpacks a block when one of its cells is opened, so that a page with twenty thousand cells opens at
once. The page's own policy (CSP) lets nothing run but its one script and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mta_sts_lab import __version__
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import level_phrase
from mta_sts_lab.reports.matrix.table import HARM, LETTERS, Matrix, Row
from mta_sts_lab.reports.pages import content_hash, environment, read_part

#: Cases in one block of evidence. More compress little better (1 % from 25 to 50) and take longer to open.
BLOCK = 25

#: Columns from which on reason codes are shown on demand only: beside each other they would not fit a screen.
MANY_COLUMNS = 9

#: Yields the evidence of one column's cases, by their ids.
EvidenceOf = Callable[[int], Iterable[tuple[str, Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Block:
    """Evidence of up to `BLOCK` cases in one column, deflated and in base64. Its name says where it belongs."""

    name: str
    content: str


def matrix_html(matrix: Matrix, evidence: EvidenceOf, requirements: Mapping[str, Requirement]) -> str:
    """Return the page. `evidence` is asked for one column after the other: one record at a time is in memory."""
    style = f"\n:root {{ --columns: {len(matrix.columns)}; }}{_part('page.css')}"
    script = f"\n{_part('evidence.js')}\n{_part('page.js')}"
    obligations: set[str] = set()
    blocks = [
        block
        for number in range(len(matrix.columns))
        for block in _blocks(matrix.rows, number, _noting(evidence(number), obligations))
    ]
    return (
        environment(__package__)
        .get_template("page.html.jinja")
        .render(
            matrix=matrix,
            letters=LETTERS,
            style=style,
            script=script,
            style_hash=content_hash(style),
            script_hash=content_hash(script),
            blocks=blocks,
            data=_data(matrix, obligations, requirements),
            many=len(matrix.columns) >= MANY_COLUMNS,
            harm_meaning=HARM if any(column.totals.harm for column in matrix.columns) else "",
            made_by=f"mta-sts-lab {__version__}",
        )
    )


def _part(name: str) -> str:
    return read_part(__package__, name)


def _data(matrix: Matrix, obligations: Iterable[str], requirements: Mapping[str, Requirement]) -> dict[str, Any]:
    """What the script has to know beside the evidence."""
    texts = {}
    for name in sorted(obligations):
        requirement = requirements.get(name)
        if requirement:
            where = f"{level_phrase(requirement.level)}, RFC {requirement.rfc} section {requirement.section}"
            texts[name] = [where, requirement.text]
    return {
        "block": BLOCK,
        "cases": [row.case for row in matrix.rows],
        "columns": [
            [escape_unprintable(column.label), escape_unprintable(column.versions), column.run.run]
            for column in matrix.columns
        ],
        "letters": {grade.value: letter for grade, letter in LETTERS.items()},
        "obligations": texts,
    }


def _noting(found: Iterable[tuple[str, Mapping[str, Any]]], obligations: set[str]) -> Iterator[tuple[str, Any]]:
    for case, one in found:
        obligations.update(judgement["obligation"] for judgement in one["judgements"])
        yield case, one


def _blocks(rows: Sequence[Row], number: int, evidence: Iterable[tuple[str, Any]]) -> Iterator[Block]:
    """Pack one column's evidence in the order of the rows; a case without any leaves its place empty."""
    by_case = dict(evidence)
    for begin in range(0, len(rows), BLOCK):
        cases = [by_case.get(row.case) for row in rows[begin : begin + BLOCK]]
        if any(case is not None for case in cases):
            yield Block(f"e{number}-{begin // BLOCK}", _packed(cases))


def _packed(cases: Sequence[Any]) -> str:
    octets = json.dumps(cases, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(compressor.compress(octets) + compressor.flush()).decode("ascii")
