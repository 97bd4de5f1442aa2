"""The matrix for programs. Its schema is `reports/matrix.schema.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.glossary import GRADES
from mta_sts_lab.reports.matrix.table import LETTERS, Cell, Column, Family, Matrix, Totals

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

#: Raised with any change that a reader of the older document would stumble over.
FORMAT = 3


def matrix_document(matrix: Matrix) -> dict[str, Any]:
    """Return the matrix as plain data, in its own order: the worst first."""
    return {
        "format": FORMAT,
        "verdicts": {word.value: _word(word) for word in GRADES},
        "columns": [_column(column) for column in matrix.columns],
        "families": [_family(family) for family in matrix.families],
    }


def _word(word: Grade) -> dict[str, str]:
    return {"letter": LETTERS[word], "colour": COLOURS[word], "meaning": GRADES[word]}


def _column(column: Column) -> dict[str, Any]:
    run = column.run
    return {
        "label": column.label,
        "run": run.run,
        "started": run.started,
        "complete": run.complete,
        "black_box": run.black_box,
        "command": list(run.command),
        "target": {"name": run.target, "versions": dict(run.versions)},
        "versions": dict(run.lab_versions),
        "exit": run.exit_code,
        "totals": _totals(column.totals),
        "causes": [cause.document for cause in column.causes],
    }


def _family(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "totals": [_totals(totals) for totals in family.totals],
        "cases": [{"id": row.case, "cells": [_cell(cell) for cell in row.cells]} for row in family.rows],
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "verdicts": {word.value: count for word, count in totals.counts.items()},
        "unjudged": totals.unjudged,
        "not-run": totals.not_run,
        "known": totals.known,
        "let-out": totals.let_out,
        "kept-back": totals.kept_back,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "state": cell.state.value,
        "verdict": cell.grade.value if cell.grade else None,
        "letter": cell.letter,
        "reason": cell.reason,
        "known": cell.known,
        "harm": cell.harm.value,
    }
