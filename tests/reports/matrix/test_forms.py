"""The matrix in a terminal, in Markdown and as JSON: the same cells, the same counts, and no foreign text that acts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, ValidationError
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.matrix.markdown import SQUARES, escaped, matrix_markdown
from mta_sts_lab.reports.matrix.matrix_json import matrix_document
from mta_sts_lab.reports.matrix.page import matrix_html
from mta_sts_lab.reports.matrix.table import Matrix, matrix_of
from mta_sts_lab.reports.matrix.terminal import matrix_page
from mta_sts_lab.reports.verdicts_reading import JudgedRun
from mta_sts_lab.reports.writers.verdicts_json import encode

from tests.reports.matrix.judged import judged, runs, verdict
from tests.reports.records import (
    HOSTILE,
    HOSTILE_VISIBLE,
    REQUIREMENTS,
    assert_closed,
    rendered,
    schema,
    without_colour,
)

FAILING, HELD, ADVICE, QUIET = (
    "starttls/strip[enforce]",
    "starttls/mask[enforce]",
    "mx/order[enforce]",
    "mx/other[none]",
)


def _matrix() -> Matrix:
    exim = judged(
        [
            verdict(QUIET, Grade.PASS),
            verdict(ADVICE, Grade.WEAK, "tried-too-soon"),
            verdict(FAILING, Grade.FAIL, "delivered-clear"),
            verdict(HELD, Grade.FAIL, "delivered-clear"),
        ],
        "exim",
        run="1",
        known={HELD: ("no MTA-STS",)},
    )
    postfix = judged(
        [verdict(QUIET, Grade.UNSUPPORTED, "not-claimed"), verdict(FAILING, Grade.PASS)], run="2", unjudged=(HELD,)
    )
    return matrix_of([postfix, exim])


class TestTerminal:
    def test_a_line_a_case_with_a_letter_for_each_target_and_the_reasons(self) -> None:
        lines = [line.rstrip() for line in rendered(matrix_page(_matrix())).splitlines()]
        text = "\n".join(lines)
        assert re.search(r"^  strip\[enforce\] +F  P +delivered-clear \(1\)$", text, re.M)
        assert re.search(r"^  mask\[enforce\] +F\* \? +delivered-clear \(1\); no-verdict \(2\)$", text, re.M)
        assert re.search(r"^  order\[enforce\] +W +tried-too-soon \(1\)$", text, re.M), (
            "and nothing where it was not run"
        )
        assert re.search(r"^starttls +1  2$", text, re.M)
        assert "1 more case: pass or unsupported in every column" in text
        assert " 1  exim: 4 cases: 2 fail, 1 weak, 1 pass (1 known failure)" in text
        assert lines[-1] == " 2  postfix: 3 cases: 1 unsupported, 1 pass, 1 without a verdict"
        assert text.index("strip[enforce]") < text.index("order[enforce]"), "the family with more failures stands first"

    def test_the_head_says_what_ran_and_what_was_not(self) -> None:
        text = " ".join(rendered(matrix_page(_matrix())).split())
        assert "1 exim exim 1.0 2026-03-02 09:30, run 1" in text
        assert "1 case of others was not run" in text
        assert "empty: not run in that column" in text
        assert "F fail: a MUST was broken" in text

    def test_all_cases_on_demand(self) -> None:
        assert "other[none]" not in rendered(matrix_page(_matrix()))
        assert re.search(r"other\[none\] +P  U +not-claimed \(2\)", rendered(matrix_page(_matrix(), every_case=True)))

    def test_brief(self) -> None:
        text = rendered(matrix_page(_matrix(), brief=True))
        assert "strip" not in text
        assert "starttls  2 cases\n   1  F 2\n   2  P 1    ? 1\n" in text

    def test_a_colour_a_verdict(self) -> None:
        coloured = rendered(matrix_page(_matrix()), terminal=True)
        assert re.search(r"\x1b\[1;31mF", coloured)
        assert "F* ?" in without_colour(coloured)

    def test_twenty_targets_fit_80_columns(self) -> None:
        many = [judged([verdict(FAILING, Grade.FAIL)], f"target-{number:02d}", run=str(number)) for number in range(20)]
        text = rendered(matrix_page(matrix_of(many)))
        assert max(map(len, text.splitlines())) <= 80
        assert "fail-code (all)" in text

    def test_one_target_needs_no_numbers(self) -> None:
        text = rendered(matrix_page(matrix_of([judged([verdict(FAILING, Grade.FAIL, "delivered-clear")])])))
        assert re.search(r"F +delivered-clear$", text, re.M)

    @given(runs())
    def test_every_finding_is_there(self, made: list[JudgedRun]) -> None:
        matrix = matrix_of(made)
        text = rendered(matrix_page(matrix, every_case=True), width=120)
        for family in matrix.families:
            for row in family.rows:
                letters = "".join(cell.letter.ljust(3) for cell in row.cells).rstrip()
                assert f"  {row.case.partition('/')[2]}  {letters}" in text


def _readable(matrix: Matrix) -> tuple[str, str, str]:
    """The forms for readers, with nothing between their words but one blank, and Markdown's escapes taken away."""
    in_terminal = " ".join(rendered(matrix_page(matrix)).split())
    return in_terminal, matrix_markdown(matrix).replace("\\", ""), matrix_html(matrix, lambda _: (), REQUIREMENTS)


@pytest.mark.parametrize("words", [["--target", "./my_mta/"], ["--target=./my_mta/"]])
def test_a_target_from_somebodys_own_folder_is_told_from_the_shipped_one_whose_name_it_uses(words: list[str]) -> None:
    own, shipped = judged([verdict(FAILING, Grade.FAIL)], run="1"), judged([verdict(FAILING, Grade.FAIL)], run="2")
    matrix = matrix_of([replace(own, command=("sts-lab", "run", *words)), shipped])
    assert [text.count("the folder ./my_mta/") for text in _readable(matrix)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--family", "ipv6"], "IPv6 addresses alone"), (["--family=both"], "addresses of both families")],
)
def test_every_form_says_that_a_run_had_another_world_than_others(words: list[str], said: str) -> None:
    other, usual = judged([verdict(FAILING, Grade.PASS)], run="1"), judged([verdict(FAILING, Grade.PASS)], run="2")
    matrix = matrix_of([replace(other, command=("sts-lab", "run", *words)), usual])
    assert [text.count(f"all hosts had {said}") for text in _readable(matrix)] == [1, 1, 1]


def test_every_form_says_that_a_run_was_a_black_box() -> None:
    hidden, seen = judged([verdict(FAILING, Grade.FAIL)], run="1"), judged([verdict(FAILING, Grade.FAIL)], run="2")
    matrix = matrix_of([replace(hidden, black_box=True), seen])
    assert [text.count("black box: no hook of the target was used") for text in _readable(matrix)] == [1, 1, 1]
    assert [column["black_box"] for column in matrix_document(matrix)["columns"]] == [True, False]


def test_a_case_that_a_column_did_not_run_passes_there_in_no_form() -> None:
    whole = judged([verdict(QUIET, Grade.PASS), verdict(FAILING, Grade.PASS), verdict(HELD, Grade.PASS)], run="1")
    part = judged([verdict(FAILING, Grade.PASS)], "exim", run="2")
    matrix = matrix_of([whole, part])
    for text in (rendered(matrix_page(matrix)), matrix_markdown(matrix)):
        assert "2 cases: pass in every column that ran them" in text
        assert "1 case: pass in every column that ran it" in text
    brief = matrix_markdown(matrix, brief=True)
    assert "| `starttls` | 🟩 1 of 2 | 🟩 |" in brief
    assert "| `mx` |  | 🟩 |" in brief


class TestMarkdown:
    def test_a_table_a_family_with_squares_letters_and_reasons(self) -> None:
        text = matrix_markdown(_matrix())
        assert "| `starttls/strip[enforce]` | 🟥 F delivered-clear | 🟩 P |" in text
        assert "| `starttls/mask[enforce]` | 🟥 F\\* delivered-clear | ? no-verdict |" in text
        assert "| `mx/order[enforce]` | 🟨 W tried-too-soon |  |" in text
        assert "1 more case: pass or unsupported in every column." in text
        assert "| **exim** | exim 1.0 | 2026-03-02 09:30 | 4 | 🟥 2 F 🟨 1 W 🟩 1 P (1 known) |" in text
        assert "empty: not run in that column" in text

    def test_every_row_of_a_table_has_as_many_cells_as_its_head(self) -> None:
        for table in matrix_markdown(_matrix(), every_case=True).split("\n\n"):
            rows = [line for line in table.splitlines() if line.startswith("|")]
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1

    def test_brief_has_a_row_a_family(self) -> None:
        text = matrix_markdown(_matrix(), brief=True)
        assert "| `starttls` | 🟥 2 | ? 1 |" in text
        assert "###" not in text
        assert "strip" not in text

    @pytest.mark.parametrize(
        ("grades", "cell"),
        [
            ([Grade.PASS, Grade.PASS], "🟩"),
            ([Grade.PASS, Grade.UNSUPPORTED], "🟩"),
            ([Grade.UNSUPPORTED], "⬜"),
            ([Grade.UNSUPPORTED, Grade.INFO, Grade.PASS], "🟦 1"),
            ([Grade.WEAK, Grade.WEAK, Grade.INCONCLUSIVE], "🟪 1"),
        ],
    )
    def test_brief_shows_the_worst_that_was_claimed(self, grades: list[Grade], cell: str) -> None:
        cases = [
            verdict(f"starttls/strip[{mode}]", grade)
            for mode, grade in zip(("enforce", "none", "absent"), grades, strict=False)
        ]
        assert f"| `starttls` | {cell} |" in matrix_markdown(matrix_of([judged(cases)]), brief=True)

    def test_foreign_text_stays_text(self) -> None:
        assert escaped("a|b *c* <script> [x](http://y) @user `z` www.evil") == (
            "a\\|b \\*c\\* \\<script\\> \\[x\\](http\\://y) \\@user \\`z\\` www\\.evil"
        )
        run = replace(
            judged([verdict("x`|y/<b>[enforce]", Grade.FAIL, HOSTILE)], HOSTILE), versions={"a|b": "1\n| x |"}
        )
        text = matrix_markdown(matrix_of([run]))
        assert "\x1b" not in text
        assert "<b>" not in text.replace("`x'\\|y/<b>[enforce]`", "")
        for table in text.split("\n\n"):
            rows = [line for line in table.splitlines() if line.startswith("|")]
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1

    def test_a_date_that_only_just_is_one_breaks_no_table(self) -> None:
        """Python's own reader of dates takes any letter between date and time."""
        text = matrix_markdown(matrix_of([judged([verdict(FAILING, Grade.FAIL)], started="2026-03-02|09:30:00+00:00")]))
        assert "| 2026-03-02 09:30 |" in text

    def test_every_verdict_has_a_square(self) -> None:
        assert set(SQUARES) == set(Grade)
        assert len(set(SQUARES.values())) == len(Grade)


class TestJson:
    def test_the_schema_is_one_and_leaves_no_field_open(self) -> None:
        Draft202012Validator.check_schema(schema("matrix"))
        assert_closed(schema("matrix"))

    @given(runs())
    def test_every_matrix_fits(self, made: list[JudgedRun]) -> None:
        document = json.loads(encode(matrix_document(matrix_of(made))))
        Draft202012Validator(schema("matrix")).validate(document)
        for family in document["families"]:
            for case in family["cases"]:
                assert len(case["cells"]) == len(document["columns"]) == len(family["totals"])

    def test_it_says_the_same(self) -> None:
        document = matrix_document(_matrix())
        assert [column["label"] for column in document["columns"]] == ["exim", "postfix"]
        starttls = document["families"][0]
        assert starttls["name"] == "starttls"
        cells = {case["id"]: case["cells"] for case in starttls["cases"]}
        assert cells[HELD] == [
            {
                "state": "judged",
                "verdict": "fail",
                "letter": "F*",
                "reason": "delivered-clear",
                "known": True,
                "harm": "",
            },
            {"state": "unjudged", "verdict": None, "letter": "?", "reason": "no-verdict", "known": False, "harm": ""},
        ]
        assert document["columns"][1]["totals"]["not-run"] == 1
        causes = [cause for column in document["columns"] for cause in column["causes"]]
        failed = {
            case["id"]
            for family in document["families"]
            for case in family["cases"]
            if any(cell["verdict"] == "fail" for cell in case["cells"])
        }
        assert {case for cause in causes if cause["result"] == "fail" for case in cause["cases"]} == failed
        Draft202012Validator(schema("matrix")).validate(document)
        assert document["verdicts"]["fail"] == {"letter": "F", "colour": "red", "meaning": "a MUST was broken"}

    @pytest.mark.parametrize(
        "mutation",
        [
            lambda document: document["columns"][0].pop("run"),
            lambda document: document["families"][0]["cases"][0]["cells"][0].update(verdict="ok"),
            lambda document: document["families"][0]["totals"][0]["verdicts"].pop("lab-error"),
            lambda document: document.update(format=2),
            lambda document: document.update(more=1),
        ],
        ids=["field", "word", "count", "format", "more"],
    )
    def test_a_mutated_document_is_refused(self, mutation: Callable[[dict[str, Any]], Any]) -> None:
        document = copy.deepcopy(matrix_document(_matrix()))
        mutation(document)
        with pytest.raises(ValidationError):
            Draft202012Validator(schema("matrix")).validate(document)


def test_hostile_words_reach_no_terminal() -> None:
    run = replace(judged([verdict(f"mx/{HOSTILE}", Grade.FAIL, HOSTILE)], HOSTILE), versions={HOSTILE: HOSTILE})
    text = rendered(matrix_page(matrix_of([run])), width=400)
    assert "\x1b" not in text
    assert HOSTILE_VISIBLE in text


def test_every_form_puts_findings_together_by_cause() -> None:
    for text in _readable(_matrix()):
        assert "indings by cause" in text
        assert "2 cases (1 known)" in text
        assert "(delivered-clear)" in text
    passing = matrix_of([judged([verdict(QUIET, Grade.PASS)])])
    assert not [text for text in _readable(passing) if "indings by cause" in text]
