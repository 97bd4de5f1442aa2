"""The matrix before it is shown: every cell is counted once, the worst comes first, and nothing is left out in silence."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm
from mta_sts_lab.reports.glossary import GRADES
from mta_sts_lab.reports.matrix.matrix_json import COLOURS
from mta_sts_lab.reports.matrix.table import (
    LETTERS,
    SEVERITY,
    State,
    family_of,
    matrix_of,
    rank,
    reason_of,
    severity,
)
from mta_sts_lab.reports.verdicts_reading import JudgedRun

from tests.reports.matrix.judged import judged, runs, states, verdict


@given(runs())
def test_totals_add_up(made: list[JudgedRun]) -> None:
    matrix = matrix_of(made)
    for number, column in enumerate(matrix.columns):
        expected = states(column.run)
        cells = [row.cells[number] for row in matrix.rows]
        assert column.totals.cells == len(matrix.rows) == len(cells)
        assert column.totals.run == len(expected)
        assert column.totals.not_run == len(matrix.rows) - len(expected)
        assert column.totals.unjudged == Counter(expected.values())[State.UNJUDGED]
        assert {
            row.case: cell.state
            for row, cell in zip(matrix.rows, cells, strict=True)
            if cell.state is not State.NOT_RUN
        } == expected
        for grade in Grade:
            of_families = sum(family.totals[number].counts[grade] for family in matrix.families)
            assert column.totals.counts[grade] == of_families == sum(cell.grade is grade for cell in cells)
        assert column.totals.known == len(column.run.known)


@given(runs())
def test_every_case_has_one_row_in_its_family(made: list[JudgedRun]) -> None:
    matrix = matrix_of(made)
    assert sorted(row.case for row in matrix.rows) == sorted({case for run in made for case in states(run)})
    for family in matrix.families:
        assert {family_of(row.case) for row in family.rows} == {family.name}
    assert len({family.name for family in matrix.families}) == len(matrix.families)


@given(runs())
def test_the_worst_comes_first(made: list[JudgedRun]) -> None:
    matrix = matrix_of(made)
    for family in matrix.families:
        for above, below in pairwise(family.rows):
            assert severity(above.cells) <= severity(below.cells)
    for above, below in pairwise(matrix.families):
        assert severity(c for row in above.rows for c in row.cells) <= severity(
            c for row in below.rows for c in row.cells
        )
    names = [column.run.target for column in matrix.columns]
    for number, (left, right) in enumerate(pairwise(matrix.columns)):
        if left.run.target == right.run.target:
            assert left.run.started <= right.run.started
        elif names.count(left.run.target) == names.count(right.run.target) == 1:
            cells = [[row.cells[place] for row in matrix.rows] for place in (number, number + 1)]
            assert severity(cells[0]) <= severity(cells[1])


@given(runs())
def test_columns_are_told_apart(made: list[JudgedRun]) -> None:
    matrix = matrix_of(made)
    assert len({column.label for column in matrix.columns}) == len(matrix.columns)
    assert [column.key for column in matrix.columns] == list(range(1, len(made) + 1))
    assert sorted(column.run.run for column in matrix.columns) == sorted(run.run for run in made)


@given(runs())
def test_a_reason_stands_wherever_it_is_not_a_pass(made: list[JudgedRun]) -> None:
    for row in matrix_of(made).rows:
        for cell in row.cells:
            silent = cell.grade is Grade.PASS or cell.state is State.NOT_RUN
            assert bool(cell.reason) is not silent


def test_a_failure_outweighs_any_number_of_lesser_findings() -> None:
    one = [verdict("mx/a[enforce]", Grade.FAIL), verdict("mx/b[enforce]", Grade.PASS)]
    many = [verdict("mx/a[enforce]", Grade.WEAK), verdict("mx/b[enforce]", Grade.LAB_ERROR)]
    matrix = matrix_of([judged(many, "exim", run="1"), judged(one, "postfix", run="2")])
    assert [column.run.target for column in matrix.columns] == ["postfix", "exim"]


def test_equals_stay_in_the_order_of_the_catalogue() -> None:
    cases = ["mx/z[enforce]", "mx/a[testing]", "mx/m[none]"]
    matrix = matrix_of([judged([verdict(case, Grade.PASS) for case in cases])])
    assert [row.case for row in matrix.rows] == cases


def test_two_runs_of_a_target_are_told_apart_by_date_and_on_one_day_by_time() -> None:
    first, later, other_day = "2026-03-02T09:30:00+00:00", "2026-03-02T11:00:00+00:00", "2026-03-05T09:30:00+00:00"
    two = matrix_of(
        [judged(started=other_day, run="2"), judged(started=first, run="1"), judged(target="exim", run="3")]
    )
    assert [column.label for column in two.columns] == ["exim", "postfix, 2026-03-02", "postfix, 2026-03-05"]
    same_day = matrix_of([judged(started=first, run="1"), judged(started=later, run="2")])
    assert [column.label for column in same_day.columns] == [
        "postfix, 2026-03-02 09:30:00",
        "postfix, 2026-03-02 11:00:00",
    ]
    same_moment = matrix_of([judged(run="1"), judged(run="2")])
    assert [column.label for column in same_moment.columns] == ["postfix, 1", "postfix, 2"]


def test_a_case_that_was_only_played_for_another_one_is_not_run() -> None:
    control_only = verdict("mx/a[absent]", Grade.FAIL, control_only=True)
    whole = judged([verdict("mx/a[absent]", Grade.PASS)], "exim", run="1")
    matrix = matrix_of([whole, judged([control_only, verdict("mx/a[enforce]", Grade.PASS)], run="2")])
    (row,) = [row for row in matrix.rows if row.case == "mx/a[absent]"]
    assert {column.run.target: cell.state for column, cell in zip(matrix.columns, row.cells, strict=True)} == {
        "exim": State.JUDGED,
        "postfix": State.NOT_RUN,
    }
    assert matrix.uneven
    alone = matrix_of([judged([control_only, verdict("mx/a[enforce]", Grade.PASS)])])
    assert [row.case for row in alone.rows] == ["mx/a[enforce]"]
    assert not alone.uneven


def test_a_known_failure_is_marked_and_stays_a_failure() -> None:
    failing = [verdict("mx/a[enforce]", Grade.FAIL, "delivered-clear")]
    (row,) = matrix_of([judged(failing, known={"mx/a[enforce]": ("no reason",)})]).rows
    (cell,) = row.cells
    assert (cell.letter, cell.grade, cell.reason, cell.known) == ("F*", Grade.FAIL, "delivered-clear", True)
    assert not cell.silent


def test_the_reason_is_that_of_the_first_judgement_of_the_same_grade() -> None:
    assert reason_of(verdict("mx/a[enforce]", Grade.WEAK, "bounced")) == "bounced"
    assert reason_of(verdict("mx/a[enforce]", Grade.PASS)) == ""


def test_no_runs_make_an_empty_matrix() -> None:
    assert matrix_of([]).rows == ()


def test_each_verdict_has_its_own_letter_and_colour() -> None:
    for words in (LETTERS, COLOURS, GRADES):
        assert set(words) == set(Grade)
        assert len(set(words.values())) == len(Grade)
    assert all(len(letter) == 1 for letter in LETTERS.values())


def test_unsupported_is_no_finding_and_does_not_move_a_row() -> None:
    assert set(SEVERITY) == set(Grade) - {Grade.PASS, Grade.UNSUPPORTED}
    assert rank(Grade.FAIL) == 0
    assert rank(Grade.PASS) == rank(Grade.UNSUPPORTED) == rank(None) == len(SEVERITY)


def test_totals_count_harm_and_say_it() -> None:
    out = [verdict(f"mx/{harm.value}[enforce]", Grade.FAIL, harm=harm) for harm in (Harm.LET_OUT, Harm.READ)]
    kept = verdict("mx/k[absent]", Grade.FAIL, harm=Harm.KEPT_BACK)
    weak = verdict("mx/w[absent]", Grade.WEAK, harm=Harm.KEPT_BACK)
    untrue = verdict("mx/u[enforce]", Grade.FAIL, harm=Harm.UNTRUE_REPORT)
    bad, good = matrix_of([judged([*out, kept, weak, untrue], target="one"), judged([], target="two")]).columns
    assert (bad.totals.let_out, bad.totals.kept_back) == (2, 2)
    assert bad.totals.harm == "let mail out in 2, kept mail back in 2"
    assert good.totals.harm == ""


def test_who_lets_mail_out_stands_before_who_keeps_more_of_it_back() -> None:
    out = [verdict("mx/o[enforce]", Grade.FAIL, harm=Harm.LET_OUT)]
    kept = [verdict(f"mx/{name}[absent]", Grade.FAIL, harm=Harm.KEPT_BACK) for name in "abc"]
    columns = matrix_of([judged(kept, target="careful"), judged(out, target="careless")]).columns
    assert [column.label for column in columns] == ["careless", "careful"]
