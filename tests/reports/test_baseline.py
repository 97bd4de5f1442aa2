"""A baseline: compared with itself a run has nothing new, and nothing that is missing."""

from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.judge.known_failures import compare_with_known, read_known_failures
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports.annotations import github_annotations, run_annotations
from mta_sts_lab.reports.baseline import baseline
from mta_sts_lab.reports.summary import AS_EXPECTED, INCONCLUSIVE, NOTHING_SELECTED, Summary

from .records import REQUIREMENTS

_LET_OUT = Judgement(Grade.FAIL, "delivered-clear", "STS-5-03", "attack", "deferred", "delivered, 100%", "target")
_READ = Judgement(Grade.FAIL, "read-in-clear", "STS-5-03", "attack", blame="target")
_REPORT = Judgement(Grade.WEAK, "failure-not-reported", "RPT-4.3.1-01", "recover", blame="target")


def _verdict(case: str, *judgements: Judgement, grade: Grade = Grade.FAIL, control_only: bool = False) -> Verdict:
    return Verdict(case, grade, (), judgements, 0.0, 1.0, control_only)


_VERDICTS = [
    _verdict("a/one[enforce]", _LET_OUT, _READ),
    _verdict("a/two[enforce]", _READ, _LET_OUT, _REPORT),
    _verdict("a/three[enforce]", _LET_OUT),
    _verdict("a/four[enforce]", grade=Grade.PASS),
    _verdict("a/one[absent]", _LET_OUT, control_only=True),
]


def test_everything_is_known_and_nothing_has_vanished(tmp_path: Path) -> None:
    file = tmp_path / "known-failures.toml"
    file.write_text(baseline("20260302-093000-c0ffee", "my-mta", _VERDICTS, REQUIREMENTS))
    listed = read_known_failures(file)
    compared = compare_with_known(_VERDICTS, listed, [verdict.case for verdict in _VERDICTS])
    assert set(compared.known) == {"a/one[enforce]", "a/two[enforce]", "a/three[enforce]"}
    assert not compared.vanished
    assert not compared.unmatched
    assert file.read_text().count("[[known-failure]]") == 3
    worse = [_verdict("a/three[enforce]", _LET_OUT, _READ)]
    assert not compare_with_known(worse, listed, ["a/three[enforce]"]).known


def test_annotations_name_new_findings_and_wrong_entries(tmp_path: Path) -> None:
    file = tmp_path / "known-failures.toml"
    file.write_text(baseline("20260302-093000-c0ffee", "my-mta", _VERDICTS[:1], REQUIREMENTS))
    gone = [_verdict("a/one[enforce]", grade=Grade.PASS), _verdict("a/three, 100%[enforce]", _LET_OUT)]
    known = compare_with_known(gone, read_known_failures(file), ["a/one[enforce]"])
    first, second = github_annotations(gone, known, REQUIREMENTS)
    assert first.startswith("::error title=fail%3A a/three%2C 100%25[enforce]::delivered-clear: expected deferred")
    assert "observed delivered, 100%25. STS-5-03: Under enforce" in first
    assert second.startswith("::error title=a known failure no longer occurs%3A a/one[enforce]::STS-5-03")


@pytest.mark.parametrize("grade", [Grade.PASS, Grade.INFO, Grade.UNSUPPORTED])
def test_no_annotation_where_nothing_is_wrong(grade: Grade) -> None:
    assert not list(github_annotations([_verdict("a/one[enforce]", grade=grade)], compare_with_known([], [], []), {}))


def test_a_finding_of_the_run_is_listed_and_annotated_once(tmp_path: Path) -> None:
    side = replace(_READ, grade=Grade.WEAK, check="subject-is-well-formed", reason="id-form")
    verdicts = [replace(_verdict(name, grade=Grade.PASS), of_the_run=(side,)) for name in ("a/one[x]", "a/two[x]")]
    nothing_known = compare_with_known(verdicts, (), [])
    (line,) = github_annotations(verdicts, nothing_known, REQUIREMENTS)
    assert line.startswith("::warning title=weak%3A subject-is-well-formed (id-form)%2C in 2 cases::id-form")
    file = tmp_path / "known-failures.toml"
    file.write_text(baseline("20260302-093000-c0ffee", "my-mta", verdicts, REQUIREMENTS))
    known = compare_with_known(verdicts, read_known_failures(file), ["a/one[x]", "a/two[x]"])
    assert len(known.known_of_the_run) == 1
    assert (known.vanished, known.unmatched) == ((), ())
    assert not list(github_annotations(verdicts, known, REQUIREMENTS))


def test_a_run_that_ended_badly_without_a_finding_says_so() -> None:
    nothing_known = compare_with_known([], (), [])
    for complete, exit_code in ((True, NOTHING_SELECTED), (False, INCONCLUSIVE)):
        summary = Summary({}, 0, 0, (), complete, exit_code)
        assert [*run_annotations([], nothing_known, {}, summary)] == [f"::error title=mta-sts-lab::{summary.meaning}"]
    (line,) = run_annotations([], nothing_known, {}, Summary({}, 1, 0, ("a/one[x]",), False, INCONCLUSIVE))
    assert line == "::error title=a/one[x]::the case has no verdict"
    assert not list(run_annotations([], nothing_known, {}, Summary({}, 0, 0, (), True, AS_EXPECTED)))
