"""Puts findings together that have one cause: cases in which the same checks found the same, in the same grade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mta_sts_lab.judge.run_findings import RunKey, findings_of_the_run, key_of
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
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


@dataclass(frozen=True, slots=True)
class CauseLine:
    """A cause in one line: the findings, each as its check and reason code, and the cases that have them all."""

    grade: Grade
    findings: tuple[str, ...]
    cases: tuple[str, ...]
    #: How many of the cases have nothing but known failures.
    known: int
    #: Whether it is a finding of the run, and no part of the verdict on its cases.
    of_the_run: bool = False

    @property
    def where(self) -> str:
        """Return in how many cases it was seen, and how many of those are known failures."""
        many = f"{len(self.cases)} case{'' if len(self.cases) == 1 else 's'}"
        known = "" if not self.known else " (known)" if self.known == len(self.cases) else f" ({self.known} known)"
        return f"{'of the run, seen in ' if self.of_the_run else ''}{many}{known}"

    @property
    def document(self) -> dict[str, Any]:
        """The same for programs, as it stands in verdicts.json and in the matrix."""
        return {
            "result": self.grade.value,
            "of_the_run": self.of_the_run,
            "findings": list(self.findings),
            "known": self.known,
            "cases": list(self.cases),
        }


def cause_lines(
    verdicts: Sequence[Verdict], known: Mapping[str, object], known_of_the_run: Mapping[RunKey, object]
) -> tuple[CauseLine, ...]:
    """Return every cause of the findings of a run, the gravest and most frequent first, and then those of the run."""
    lines = []
    for cause in causes_of(verdicts):
        findings = tuple(f"{one.check} ({one.reason})" for one in reported(cause.verdicts[0]))
        listed = sum(case in known for case in cause.cases)
        lines.append(CauseLine(cause.grade, tuple(dict.fromkeys(findings)), cause.cases, listed))
    lines.sort(key=lambda line: (-FINDINGS.index(line.grade), -len(line.cases)))
    return (
        *lines,
        *(
            CauseLine(one.grade, (one.name,), one.cases, len(one.cases) * (one.key in known_of_the_run), True)
            for one in findings_of_the_run(verdicts)
        ),
    )


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
