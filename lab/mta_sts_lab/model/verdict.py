"""Judgements, and the verdicts that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mta_sts_lab.model.grading import Grade, Outcome


class Harm(StrEnum):
    """What a finding means for the mail, beside its grade. The check that knows sets it."""

    NONE = ""
    #: Delivered against the protection in force.
    LET_OUT = "let-out"
    #: Held, returned or lost, although neither a policy nor an RFC asks for it.
    KEPT_BACK = "kept-back"
    #: An outsider read the message, or its envelope, against the protection in force.
    READ = "read"
    #: A TLS report does not say what happened.
    UNTRUE_REPORT = "untrue-report"


_WORST_HARM_FIRST = (Harm.LET_OUT, Harm.READ, Harm.KEPT_BACK, Harm.UNTRUE_REPORT)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one check found in one case.

    `reason` is a stable code (`delivered-in-clear`, `policy-never-fetched`); `evidence` are numbers of events in the
    record; `blame` is target, lab or nobody.
    """

    grade: Grade
    reason: str
    obligation: str = ""
    step: str = ""
    expected: str = ""
    observed: str = ""
    blame: str = "nobody"
    evidence: tuple[int, ...] = ()
    harm: Harm = Harm.NONE
    #: The id of the check. The judge sets it.
    check: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of the message of one step. Times are seconds since the run began."""

    step: str
    outcome: Outcome | None
    began: float
    ended: float
    #: One clause that says it in words ("in clear, read by the attacker").
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EarlierPlay:
    """A play of a case before its last one: it proved nothing, or perhaps nothing. Its events stay on record."""

    #: The run, or the part of a run, whose events they are.
    run: str
    grade: Grade
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a case."""

    case: str
    grade: Grade
    steps: tuple[StepResult, ...]
    judgements: tuple[Judgement, ...]
    began: float
    ended: float
    #: True for a control case that was not selected and only played because another case needs it.
    control_only: bool = False
    #: The plays before the one that this is the verdict on.
    earlier: tuple[EarlierPlay, ...] = ()
    #: What is wrong here as in every other case, and what the case is not about: no part of its verdict, but findings
    #: of the run.
    of_the_run: tuple[Judgement, ...] = ()

    @property
    def harm(self) -> Harm:
        """The worst harm that the failures of the case did, and mail kept back, which may break advice only."""
        weak = {one.harm for one in self.judgements if one.grade is Grade.WEAK} & {Harm.KEPT_BACK}
        found = weak | {one.harm for one in self.judgements if one.grade is Grade.FAIL}
        return next((harm for harm in _WORST_HARM_FIRST if harm in found), Harm.NONE)
