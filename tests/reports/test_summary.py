"""What the exit code says: a failure outranks everything, and what is missing never leaves a zero."""

from dataclasses import replace

import pytest
from mta_sts_lab.events import Event, TargetDiagnosed
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports import summary
from mta_sts_lab.reports.summary import summarise

from .records import record_of, strip_record, strip_verdicts

_RECORD = strip_record()
_VERDICTS = strip_verdicts(_RECORD)
_KNOWN = KnownFailure("a/*", "STS-5-03", "fail", ("delivered-clear",), "known", "a link")


def _with(*grades: Grade) -> list[Verdict]:
    return [replace(verdict, grade=grade) for verdict, grade in zip(_VERDICTS, grades, strict=True)]


@pytest.mark.parametrize(
    ("grades", "code"),
    [
        ((Grade.PASS, Grade.INFO, Grade.PASS, Grade.PASS), summary.AS_EXPECTED),
        ((Grade.PASS, Grade.UNSUPPORTED, Grade.PASS, Grade.PASS), summary.AS_EXPECTED),
        ((Grade.PASS, Grade.WEAK, Grade.PASS, Grade.PASS), summary.FINDING),
        ((Grade.PASS, Grade.WEAK, Grade.INCONCLUSIVE, Grade.PASS), summary.INCONCLUSIVE),
        ((Grade.PASS, Grade.LAB_ERROR, Grade.INCONCLUSIVE, Grade.PASS), summary.LAB_ERROR),
        ((Grade.FAIL, Grade.LAB_ERROR, Grade.INCONCLUSIVE, Grade.PASS), summary.FINDING),
    ],
)
def test_the_exit_code_follows_from_the_verdicts(grades: tuple[Grade, ...], code: int) -> None:
    told = summarise(_RECORD, _with(*grades))
    assert told.exit_code == code
    assert told.meaning == summary.EXIT_MEANINGS[code]


def test_nothing_selected_is_not_success() -> None:
    assert summarise(record_of([], []), []).exit_code == summary.NOTHING_SELECTED


def test_only_unsupported_cases_are_not_success_and_told_apart_from_an_empty_selection() -> None:
    told = summarise(_RECORD, _with(*[Grade.UNSUPPORTED] * 4))
    assert told.exit_code == summary.NOTHING_SELECTED
    assert told.meaning == summary.NOTHING_JUDGED
    assert summarise(record_of([], []), []).meaning == summary.EXIT_MEANINGS[summary.NOTHING_SELECTED]


def test_what_a_target_no_longer_claims_is_a_finding_where_it_was_known_for_it() -> None:
    known = KnownComparison(known={}, vanished=(_KNOWN,), unmatched=())
    assert summarise(_RECORD, _with(*[Grade.UNSUPPORTED] * 4), known).exit_code == summary.FINDING


def test_a_case_without_a_verdict_is_not_success() -> None:
    told = summarise(_RECORD, _VERDICTS[1:])
    assert told.exit_code == summary.INCONCLUSIVE
    assert told.unjudged == (_VERDICTS[0].case,)
    assert told.cases == 4


def test_an_interrupted_run_is_not_success() -> None:
    assert summarise(strip_record(complete=False), _VERDICTS).exit_code == summary.INCONCLUSIVE


def test_supporting_cases_are_not_counted() -> None:
    told = summarise(_RECORD, [*_VERDICTS[:3], replace(_VERDICTS[3], control_only=True, grade=Grade.FAIL)])
    assert (told.cases, told.control_only, told.counts[Grade.FAIL]) == (3, 1, 0)
    assert told.exit_code == summary.AS_EXPECTED


def test_a_known_failure_is_as_expected_and_still_counted() -> None:
    verdicts = _with(Grade.FAIL, Grade.WEAK, Grade.PASS, Grade.PASS)
    known = {verdicts[0].case: ("known",), verdicts[1].case: ("known",)}
    told = summarise(_RECORD, verdicts, KnownComparison(known=known, vanished=(), unmatched=()))
    assert told.exit_code == summary.AS_EXPECTED
    assert told.counts[Grade.FAIL] == 1
    assert set(told.known) == set(known)


@pytest.mark.parametrize("kind", ["vanished", "unmatched"])
def test_a_list_of_known_failures_that_is_wrong_is_a_finding(kind: str) -> None:
    known = KnownComparison(known={}, vanished=(), unmatched=())
    told = summarise(_RECORD, _VERDICTS, replace(known, **{kind: (_KNOWN,)}))
    assert told.exit_code == summary.FINDING
    what = "1 no longer occur" if kind == "vanished" else "1 fit no case"
    assert told.meaning == f"findings: the list of known failures is not right: {what}"


@pytest.mark.parametrize("listed", [(), (_KNOWN,)])
def test_a_new_finding_of_the_run_is_not_laid_to_the_list_of_known_failures(listed: tuple[KnownFailure, ...]) -> None:
    side = Judgement(Grade.WEAK, "subject-form", "RPT-5.3-09", check="subject-is-well-formed")
    passed = _with(Grade.PASS, Grade.PASS, Grade.PASS, Grade.PASS)
    verdicts = [replace(passed[0], of_the_run=(side,)), *passed[1:]]
    told = summarise(_RECORD, verdicts, KnownComparison(known={}, vanished=listed, unmatched=()))
    assert (told.exit_code, told.meaning) == (summary.FINDING, summary.EXIT_MEANINGS[summary.FINDING])


def test_a_diagnosis_is_told_once_also_where_a_run_was_played_in_parts() -> None:
    diagnosis = TargetDiagnosed(
        code="table-missing", means="A table is missing.", remedy="Make it.", quoted="no such file"
    )
    events = [Event(number, float(number), diagnosis) for number in (1, 2)]
    assert summary.diagnoses_of(record_of(events, [])) == (diagnosis,)
    assert summary.diagnoses_of(record_of([], [])) == ()
