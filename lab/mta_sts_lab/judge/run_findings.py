"""Findings of the run: what a target does alike in every case, whatever the case is about, is found once.

A check says so of itself (`of_the_run`). In a case whose scenario is about the obligation it is a finding of the case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mta_sts_lab.model.grading import MERGE_ORDER, Grade
from mta_sts_lab.model.verdict import Judgement, Verdict

FINDINGS = (Grade.FAIL, Grade.WEAK)

#: The check, the reason code and the obligation: what makes two judgements the same finding of the run.
RunKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class RunFinding:
    """One finding of the run, the cases in which it was seen, and one of them as an example.

    In some of the cases it may only be noted (`info`); `judgement` is one of the gravest, in the case `example`.
    """

    judgement: Judgement
    example: str
    cases: tuple[str, ...]

    @property
    def key(self) -> RunKey:
        """Return what tells it from other findings of the run."""
        return key_of(self.judgement)

    @property
    def grade(self) -> Grade:
        """Return how grave it is: as in the gravest of its cases."""
        return self.judgement.grade

    @property
    def name(self) -> str:
        """Return the check and the reason code: `subject-is-well-formed (report-id-form)`."""
        return f"{self.judgement.check} ({self.judgement.reason})"


def key_of(judgement: Judgement) -> RunKey:
    """Return which finding of the run a judgement belongs to."""
    return judgement.check, judgement.reason, judgement.obligation


def findings_of_the_run(verdicts: Iterable[Verdict]) -> tuple[RunFinding, ...]:
    """Return the findings of the run against the target, the gravest first; what is only noted is none."""
    seen: dict[RunKey, list[tuple[str, Judgement]]] = {}
    for verdict in verdicts:
        for judgement in () if verdict.control_only else verdict.of_the_run:
            seen.setdefault(key_of(judgement), []).append((verdict.case, judgement))
    found = [_run_finding(some) for some in seen.values()]
    bad = [one for one in found if one.grade in FINDINGS]
    return tuple(sorted(bad, key=lambda one: MERGE_ORDER.index(one.grade), reverse=True))


def _run_finding(seen: Sequence[tuple[str, Judgement]]) -> RunFinding:
    example, judgement = max(seen, key=lambda one: MERGE_ORDER.index(one[1].grade))
    return RunFinding(judgement, example, tuple(dict.fromkeys(case for case, _ in seen)))
