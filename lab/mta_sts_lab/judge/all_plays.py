"""The verdict on a case that was played more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.judge.run_findings import FINDINGS
from mta_sts_lab.judge.view import inconclusive
from mta_sts_lab.model.grading import Grade, merge
from mta_sts_lab.model.verdict import EarlierPlay, Judgement, Verdict

#: Why a case proves nothing that was played more than once, with different results.
PLAYS_DIFFER = "plays-differ"


@dataclass(frozen=True, slots=True)
class Play:
    """One play of a case: the run, or the part of a run, whose events it is, and the verdict on it alone."""

    run: str
    verdict: Verdict


def verdict_on_all(plays: Sequence[Play]) -> Verdict:
    """Return the verdict on all plays of a case, the last one last: that one's, with what an earlier one found beside.

    What was found once and not again is neither held against the target nor forgotten, be it graver than what the last
    play found, or as grave and something else, which need not be known of the target. A failure of the last play stays
    one.
    """
    last = plays[-1].verdict
    before = [play for play in plays[:-1] if not play.verdict.control_only]
    last = replace(last, earlier=tuple(_as_earlier(play) for play in before))
    others = [one for one in (play.verdict for play in before) if _found_otherwise(one, last)]
    if not others:
        return last
    found = " and ".join(_in_words(one, _worst_finding(one)) for one in others)
    observed = f"{found} among the others, and {_in_words(last, last.grade)} alone"
    grade = merge([last.grade, Grade.INCONCLUSIVE])
    return replace(last, grade=grade, judgements=(inconclusive(PLAYS_DIFFER, observed), *last.judgements))


def _found_otherwise(one: Verdict, last: Verdict) -> bool:
    """Whether a play has a finding that is graver than those of the last one, or as grave and not among them.

    The findings of the case and those that count for the run are compared apart: neither hides the other.
    """
    pairs = ((one.judgements, last.judgements), (one.of_the_run, last.of_the_run))
    return any(_differ(ours, theirs) for ours, theirs in pairs)


def _differ(ours: Sequence[Judgement], theirs: Sequence[Judgement]) -> bool:
    worst, last = _worst_of(ours), _worst_of(theirs)
    if worst not in FINDINGS or merge([worst, last]) is not worst:
        return False
    return worst is not last or not _codes(ours, worst) <= _codes(theirs, worst)


def _codes(judgements: Sequence[Judgement], grade: Grade) -> set[tuple[str, str]]:
    return {(one.obligation, one.reason) for one in judgements if one.grade is grade}


def _worst_of(judgements: Sequence[Judgement]) -> Grade:
    return merge([Grade.PASS, *(one.grade for one in judgements if one.grade in FINDINGS)])


def _worst_finding(verdict: Verdict) -> Grade:
    """Return the worst that a play was found to show of the target, whatever else it left open; `pass` for nothing."""
    return _worst_of((*verdict.judgements, *verdict.of_the_run))


def _as_earlier(play: Play) -> EarlierPlay:
    return EarlierPlay(play.run, play.verdict.grade, _reasons(play.verdict, play.verdict.grade))


def _in_words(verdict: Verdict, grade: Grade) -> str:
    return f"{grade.value} ({', '.join(_reasons(verdict, grade))})"


def _reasons(verdict: Verdict, grade: Grade) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.reason for one in (*verdict.judgements, *verdict.of_the_run) if one.grade is grade))
