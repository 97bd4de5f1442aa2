"""Puts findings together that have one cause: cases in which the same checks found the same, in the same grade."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mta_sts_lab.judge.run_findings import key_of
from mta_sts_lab.model import Grade, Judgement, Verdict
from mta_sts_lab.reports.summary import FINDINGS


@dataclass(frozen=True, slots=True)
class Cause:
    """Verdicts that belong together, in the order of the run; the first one stands for all of them."""

    verdicts: tuple[Verdict, ...]

    @property
    def grade(self) -> Grade:
        """Return the verdict on all of the cases."""
        return self.verdicts[0].grade

    @property
    def cases(self) -> tuple[str, ...]:
        """Return the ids of the cases."""
        return tuple(verdict.case for verdict in self.verdicts)

    def obligations(self, finding: Judgement) -> tuple[str, ...]:
        """Return which obligations the cases break by a finding of the first one: scenarios differ in theirs."""
        alike = (one for verdict in self.verdicts for one in reported(verdict) if _kind(one) == _kind(finding))
        return tuple(dict.fromkeys(one.obligation for one in alike if one.obligation))


def reported(verdict: Verdict) -> list[Judgement]:
    """Return the judgements of a verdict that are reported as findings, the gravest first."""
    found = [judgement for judgement in verdict.judgements if judgement.grade in FINDINGS]
    return sorted(found, key=lambda judgement: FINDINGS.index(judgement.grade), reverse=True)


def causes_of(verdicts: Iterable[Verdict]) -> tuple[Cause, ...]:
    """Return the findings of a run by their causes, the least grave first, without control cases nobody selected."""
    found: dict[tuple[Grade, frozenset[tuple[str, ...]]], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.grade in FINDINGS and not verdict.control_only:
            kinds = frozenset(_kind(judgement) for judgement in reported(verdict))
            found.setdefault((verdict.grade, kinds), []).append(verdict)
    causes = [Cause(tuple(some)) for some in found.values()]
    return tuple(sorted(causes, key=lambda cause: FINDINGS.index(cause.grade)))


def _kind(judgement: Judgement) -> tuple[str, ...]:
    check, reason, _ = key_of(judgement)
    return check, reason, judgement.grade.value
