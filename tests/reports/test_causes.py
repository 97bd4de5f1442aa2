"""Findings with one cause stand together, the gravest and most frequent first."""

from __future__ import annotations

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports.causes import cause_lines, causes_of

CLEAR = Judgement(Grade.FAIL, "delivered-clear", "STS-5-03", "attack", check="message-outcome")
HIDDEN = Judgement(Grade.FAIL, "delivered-clear", "STLS-4-02", "attack", check="message-outcome")
FORM = Judgement(Grade.WEAK, "id-form", "RPT-5.3-09", "recover", check="subject-is-well-formed")
HELD = Judgement(Grade.WEAK, "held-without-a-policy", "STLS-6-02", "attack", check="message-outcome")


def _verdict(case: str, *judgements: Judgement, of_the_run: tuple[Judgement, ...] = ()) -> Verdict:
    grade = Grade.FAIL if CLEAR in judgements or HIDDEN in judgements else Grade.WEAK if judgements else Grade.PASS
    return Verdict(case, grade, (), judgements, 0.0, 1.0, of_the_run=of_the_run)


VERDICTS = (
    _verdict("a/one", HELD),
    _verdict("a/two", HELD),
    _verdict("a/three", CLEAR, of_the_run=(FORM,)),
    _verdict("a/four", HIDDEN, of_the_run=(FORM,)),
    _verdict("a/five", of_the_run=(FORM,)),
    _verdict("a/six", CLEAR, HELD),
)


def test_a_cause_is_what_checks_found_whatever_obligation_a_scenario_blames() -> None:
    causes = causes_of(VERDICTS)
    assert [cause.cases for cause in causes] == [("a/one", "a/two"), ("a/three", "a/four"), ("a/six",)]
    assert causes[1].obligations(CLEAR) == ("STS-5-03", "STLS-4-02")


def test_lines_of_causes_count_cases_and_known_failures() -> None:
    lines = cause_lines(VERDICTS, {"a/one": (), "a/two": (), "a/three": ()}, {})
    assert [(line.grade, line.where) for line in lines] == [
        (Grade.FAIL, "2 cases (1 known)"),
        (Grade.FAIL, "1 case"),
        (Grade.WEAK, "2 cases (known)"),
        (Grade.WEAK, "of the run, seen in 3 cases"),
    ]
    assert lines[1].findings == ("message-outcome (delivered-clear)", "message-outcome (held-without-a-policy)")
    key = ("subject-is-well-formed", "id-form", "RPT-5.3-09")
    assert cause_lines(VERDICTS, {}, {key: ()})[-1].where == "of the run, seen in 3 cases (known)"
