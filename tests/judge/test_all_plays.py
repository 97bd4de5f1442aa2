"""A case that was played again: what an earlier play showed is neither forgotten nor held against the target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mta_sts_lab.judge.all_plays import PLAYS_DIFFER, Play, verdict_on_all
from mta_sts_lab.judge.known_failures import KnownFailure, compare_with_known
from mta_sts_lab.model.grading import Grade, merge
from mta_sts_lab.model.verdict import EarlierPlay, Judgement, Verdict

_GRADES = {
    "pass": Grade.PASS,
    "weak": Grade.WEAK,
    "untidy": Grade.WEAK,
    "fail": Grade.FAIL,
    "leak": Grade.FAIL,
    "unknown": Grade.INCONCLUSIVE,
    "broken": Grade.LAB_ERROR,
}


def _verdict(found: str, *, control_only: bool = False) -> Verdict:
    """Return a verdict with judgements of some grades ("weak unknown"), each with the grade's name for its reason."""
    judgements = tuple(Judgement(_GRADES[word], word) for word in found.split())
    grade = merge([one.grade for one in judgements])
    return Verdict("a/b[enforce]", grade, (), judgements, 0.0, 1.0, control_only=control_only)


def _all(*found: str) -> Verdict:
    return verdict_on_all([Play(f"r{number}", _verdict(one)) for number, one in enumerate(found)])


@pytest.mark.parametrize(
    ("plays", "grade"),
    [
        (("pass",), Grade.PASS),
        (("unknown", "pass"), Grade.PASS),
        (("broken", "pass weak"), Grade.WEAK),
        (("fail", "fail"), Grade.FAIL),
        (("weak unknown", "weak"), Grade.WEAK),
        (("weak", "fail"), Grade.FAIL),
        (("weak unknown", "weak unknown"), Grade.INCONCLUSIVE),
        (("fail", "fail leak"), Grade.FAIL),
        (("fail weak", "fail untidy"), Grade.FAIL),
    ],
)
def test_the_last_play_counts_where_no_earlier_one_found_worse_or_other_things(
    plays: tuple[str, ...], grade: Grade
) -> None:
    found = _all(*plays)
    assert found.grade is grade
    assert PLAYS_DIFFER not in {one.reason for one in found.judgements}
    assert [play.run for play in found.earlier] == [f"r{number}" for number in range(len(plays) - 1)]


@pytest.mark.parametrize(
    ("plays", "grade", "observed"),
    [
        (("fail", "pass"), Grade.INCONCLUSIVE, "fail (fail) among the others, and pass (pass) alone"),
        (("fail", "weak"), Grade.INCONCLUSIVE, "fail (fail) among the others, and weak (weak) alone"),
        (("weak unknown", "pass"), Grade.INCONCLUSIVE, "weak (weak) among the others, and pass (pass) alone"),
        (("weak broken", "pass"), Grade.INCONCLUSIVE, "weak (weak) among the others, and pass (pass) alone"),
        (("fail", "broken"), Grade.LAB_ERROR, "fail (fail) among the others, and lab-error (broken) alone"),
        (
            ("fail", "weak unknown", "pass"),
            Grade.INCONCLUSIVE,
            "fail (fail) and weak (weak) among the others, and pass (pass) alone",
        ),
        (("leak", "fail"), Grade.FAIL, "fail (leak) among the others, and fail (fail) alone"),
        (("fail leak", "fail"), Grade.FAIL, "fail (fail, leak) among the others, and fail (fail) alone"),
        (("weak unknown", "untidy"), Grade.INCONCLUSIVE, "weak (weak) among the others, and weak (untidy) alone"),
    ],
)
def test_what_was_found_once_and_not_again_proves_nothing(plays: tuple[str, ...], grade: Grade, observed: str) -> None:
    found = _all(*plays)
    assert found.grade is grade
    assert (found.judgements[0].reason, found.judgements[0].observed) == (PLAYS_DIFFER, observed)


def test_a_finding_of_the_run_is_not_forgotten_either() -> None:
    of_the_run = Judgement(Grade.FAIL, "tlsa-before-addresses", obligation="DANE-2.2.2-01")
    plays = [Play("r0", replace(_verdict("unknown"), of_the_run=(of_the_run,))), Play("r1", _verdict("pass"))]
    found = verdict_on_all(plays)
    assert found.grade is Grade.INCONCLUSIVE
    assert found.judgements[0].observed == "fail (tlsa-before-addresses) among the others, and pass (pass) alone"
    again = Play("r1", replace(_verdict("pass"), of_the_run=(of_the_run,)))
    assert verdict_on_all([plays[0], again]).grade is Grade.PASS
    weak = Play("r0", replace(_verdict("weak unknown"), of_the_run=(of_the_run,)))
    assert verdict_on_all([weak, again]).grade is Grade.INCONCLUSIVE, (
        "what counts for the run hides nothing of the case"
    )


def test_what_is_known_of_a_target_covers_no_other_failure_of_an_earlier_play() -> None:
    known = KnownFailure("a/b[enforce]", "", "fail", ("fail",), "it holds such mail", "a ticket")
    assert compare_with_known([_verdict("fail")], [known], ["a/b[enforce]"]).known
    assert not compare_with_known([_all("leak", "fail")], [known], ["a/b[enforce]"]).known


def test_an_earlier_play_is_told_with_its_verdict() -> None:
    assert _all("weak unknown", "pass").earlier == (EarlierPlay("r0", Grade.INCONCLUSIVE, ("unknown",)),)


def test_a_play_for_another_case_alone_is_none() -> None:
    plays = [Play("r0", _verdict("fail", control_only=True)), Play("r1", _verdict("pass"))]
    found = verdict_on_all(plays)
    assert (found.grade, found.earlier) == (Grade.PASS, ())
