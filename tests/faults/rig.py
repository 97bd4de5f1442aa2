"""Injects a fault of the lab, the machine or an adapter into a run in process, and compares the verdicts with a quiet run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from mta_sts_lab.adapter_check.probes import is_probe
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.runner import context
from mta_sts_lab.runs import RunResult, load_shipped_catalogue
from mta_sts_lab.timeouts import Deadline

from tests.playing import play

#: A few of each kind: attacks on SMTP, DNS and HTTPS, defects of hosts, and fail-over.
CASES = (
    "starttls/strip",
    "certificate/own-expired[enforce]",
    "certificate/swapped-wrong-name[enforce]",
    "mx/forged-mx[enforce]",
    "mx/fail-over[enforce*",
    "discovery/record-hidden[enforce*",
)

#: What a fault may make of a case: nothing is proved, or the lab says that it failed.
EXCUSED = (Grade.INCONCLUSIVE, Grade.LAB_ERROR)


@cache
def catalogue() -> Catalogue:
    """Return the shipped scenarios."""
    return load_shipped_catalogue()


@dataclass(frozen=True, slots=True)
class Played:
    """A run with a fault, or without."""

    result: RunResult

    @property
    def grades(self) -> dict[str, Grade]:
        """The grade of each case."""
        return {verdict.case: verdict.grade for verdict in self.result.verdicts}

    def reasons(self, case: str) -> set[str]:
        """Return why a case did not pass."""
        verdict = next(one for one in self.result.verdicts if one.case == case)
        return {one.reason for one in verdict.judgements if one.grade is not Grade.PASS}


def shorten_waits(patch: pytest.MonkeyPatch, seconds: float = 6) -> None:
    """Let a run give up soon: whatever a fault keeps from coming is waited for in vain."""
    short = {name: Deadline(name, seconds) for name in ("settle", "recover")}
    patch.setattr(context, "IN_PROCESS", replace(context.IN_PROCESS, **short))


def play_with(selection: Iterable[str], inject: Callable[[pytest.MonkeyPatch], None], out: Path) -> Played:
    """Play some cases with a fault."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_waits(patch)
        inject(patch)
        return Played(play(catalogue(), catalogue().find(tuple(selection)), out, again=0))


def is_played(case: str) -> bool:
    """Whether these are names of a case: not of a probe before the run, nor of the lab itself."""
    return bool(case) and not is_probe(case)


def unfair(faulty: Played) -> dict[str, tuple[Grade, set[str]]]:
    """Return the cases with a verdict that the correct sender does not have without the fault, and that is no excuse."""
    return {
        case: (grade, faulty.reasons(case))
        for case, grade in faulty.grades.items()
        if grade not in (Grade.PASS, *EXCUSED)
    }
