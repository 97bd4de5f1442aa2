"""What a target does alike in every case is one finding of the run, known or not, and no part of any verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from mta_sts_lab.judge.known_failures import KnownFailure, compare_with_known, read_known_failures
from mta_sts_lab.judge.run_findings import findings_of_the_run
from mta_sts_lab.judge.verdicts import _is_of_the_run
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.reports.summary import AS_EXPECTED, FINDING, summarise

from ..reports.records import strip_record
from .stories import CASES, ENFORCE

FORM = Judgement(Grade.WEAK, "report-id-form", obligation="RPT-5.3-09", step="recover", check="subject-is-well-formed")
KEY = ("subject-is-well-formed", "report-id-form", "RPT-5.3-09")


def _verdict(case: str, *of_the_run: Judgement, control_only: bool = False) -> Verdict:
    passed = Judgement(Grade.PASS, "arrived", check="message-outcome")
    return Verdict(case, Grade.PASS, (), (passed,), 0.0, 1.0, control_only, of_the_run=of_the_run)


def _listed(case: str, *, of_the_run: bool) -> KnownFailure:
    return KnownFailure(
        case, "RPT-5.3-09", "weak", ("report-id-form",), "colons", "log", step="recover", of_the_run=of_the_run
    )


def test_a_side_finding_is_found_once_in_all_of_its_cases() -> None:
    noted = replace(FORM, grade=Grade.INFO)
    verdicts = [
        _verdict("a/b[enforce]", noted),
        _verdict("a/c[enforce]", FORM),
        _verdict("a/d[enforce]"),
        _verdict("a/e[absent]", FORM, control_only=True),
    ]
    (found,) = findings_of_the_run(verdicts)
    assert (found.key, found.grade, found.example) == (KEY, Grade.WEAK, "a/c[enforce]")
    assert found.cases == ("a/b[enforce]", "a/c[enforce]")
    assert verdicts[1].harm is Harm.NONE


def test_what_is_only_noted_is_no_finding() -> None:
    assert findings_of_the_run([_verdict("a/b[enforce]", replace(FORM, grade=Grade.INFO))]) == ()


def test_the_gravest_comes_first() -> None:
    fails = replace(FORM, grade=Grade.FAIL, check="report-is-i-json", reason="not-json", obligation="RPT-4-01")
    found = findings_of_the_run([_verdict("a/b[enforce]", FORM, fails)])
    assert [one.grade for one in found] == [Grade.FAIL, Grade.WEAK]


@pytest.mark.parametrize(
    ("judgement", "requirements", "expected"),
    [
        (FORM, (), True),
        (FORM, ("RPT-5.3-09",), False),
        (replace(FORM, grade=Grade.INFO), (), True),
        (replace(FORM, grade=Grade.INCONCLUSIVE), (), False),
        (replace(FORM, check="failure-count-is-true"), (), False),
        (replace(FORM, check="message-outcome"), (), False),
    ],
)
def test_a_case_keeps_what_its_scenario_is_about(
    judgement: Judgement, requirements: tuple[str, ...], expected: bool
) -> None:
    assert _is_of_the_run(replace(CASES[ENFORCE], requirements=requirements), judgement) is expected


VERDICTS = [_verdict("a/b[enforce]", FORM), _verdict("a/c[enforce]", FORM)]
IDS = ["a/b[enforce]", "a/c[enforce]"]


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        ([_listed("a/b[enforce]", of_the_run=True)], True),
        ([_listed("a/b[enforce]", of_the_run=False)], False),
        ([_listed("a/*", of_the_run=False)], True),
        ([], False),
    ],
)
def test_a_finding_of_the_run_is_known_where_every_case_of_it_is(listed: list[KnownFailure], known: bool) -> None:
    compared = compare_with_known(VERDICTS, listed, IDS)
    assert compared.known_of_the_run == ({KEY: ("colons",)} if known else {})
    assert (compared.vanished, compared.known) == ((), {})
    record = strip_record(leaking_enforce=False)
    cases = tuple(replace(record.header.cases[0], id=name) for name in IDS)
    record = replace(record, header=msgspec.structs.replace(record.header, cases=cases))
    assert summarise(record, VERDICTS, compared).exit_code == (AS_EXPECTED if known else FINDING)


def test_one_that_is_no_longer_seen_in_its_case_is_news() -> None:
    compared = compare_with_known([_verdict("a/b[enforce]")], [_listed("a/b[enforce]", of_the_run=True)], IDS)
    assert [one.codes for one in compared.vanished] == [("report-id-form",)]


def test_the_list_says_that_it_is_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "known-failures.toml"
    path.write_text(
        '[[known-failure]]\ncase = "a/b[enforce]"\nof-the-run = true\nobligation = "RPT-5.3-09"\nresult = "weak"\n'
        'codes = ["report-id-form"]\nreason = "colons"\nevidence = "log"\n',
        encoding="utf-8",
    )
    (known,) = read_known_failures(path)
    assert known.of_the_run
    assert known.covers(FORM)
