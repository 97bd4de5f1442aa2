"""Plays cases again that proved nothing: one at a time, in a run whose record is added to that of the first play.

Only what proved nothing is played again. A finding stays what it is, however often others are repeated.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mta_sts_lab.backends.registry import Backend, BackendError, Job, TargetRefused
from mta_sts_lab.judge.checks.premises import ASKED_LATE, LAB_UNHEALTHY
from mta_sts_lab.model import Case, Grade, Verdict
from mta_sts_lab.record import RecordFile, read_record
from mta_sts_lab.reports.target_log import heading
from mta_sts_lab.runner.plan import Plan, plan_run
from mta_sts_lab.runs.captures import divide_capture
from mta_sts_lab.runs.joining import write_joined
from mta_sts_lab.runs.writing import RunWriter
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.whole_files import write_whole
from mta_sts_lab.world.network import AddressInUse

#: How often a case is played again that the lab itself has spoiled: it was late, or did not wait long enough.
SPOILED_PLAYS = 2

#: Why a case proves nothing whose control case proves nothing.
_CONTROL = ("control-not-sound", "control-missing")


def worth_another_play(verdicts: Sequence[Verdict], cases: Mapping[str, Case], *, all_inconclusive: bool) -> list[str]:
    """Return the cases that prove nothing by the lab's doing, or, if so asked, for whatever reason."""
    spoiled = {verdict.case for verdict in verdicts if _spoiled(verdict)}
    return [
        verdict.case
        for verdict in verdicts
        if not verdict.control_only
        and (
            verdict.case in spoiled
            or (all_inconclusive and verdict.grade is Grade.INCONCLUSIVE)
            or (_lacks_its_control(verdict) and cases[verdict.case].control in spoiled)
        )
    ]


def _spoiled(verdict: Verdict) -> bool:
    reasons = {one.reason for one in verdict.judgements}
    own_doing = not reasons.isdisjoint((LAB_UNHEALTHY, ASKED_LATE))
    return verdict.grade is Grade.LAB_ERROR or (verdict.grade is Grade.INCONCLUSIVE and own_doing)


def _lacks_its_control(verdict: Verdict) -> bool:
    reasons = {one.reason for one in verdict.judgements}
    return verdict.grade is Grade.INCONCLUSIVE and not reasons.isdisjoint(_CONTROL)


@dataclass(frozen=True, slots=True)
class Replay:
    """One more play of some cases of a run."""

    #: The job of the first play, whose target is started anew.
    job: Job
    backend: Backend
    #: Which further play of the run it is: 1, 2 and so on.
    number: int
    cases: tuple[Case, ...]
    all_cases: Mapping[str, Case]

    def plan(self) -> Plan:
        """Return the plan of this play, with names and domains of its own."""
        first = self.job.plan
        dice = random.Random(f"play {self.number} of {first.seed}")  # noqa: S311 - no secret
        plan = plan_run(self.cases, self.all_cases, first.command, dice.getrandbits(32), black_box=first.black_box)
        run = f"{first.run}-again-{self.number}"
        families, both = first.families, first.dual_stack
        return replace(plan, run=run, alone=True, captures=first.captures, families=families, dual_stack=both)

    def play(self, folder: Path) -> str:
        """Play the cases and add the play to the record in a run's folder.

        Returns why it could not be played; empty if it was. An interrupt leaves what was played until then in the
        record, which then says that it is incomplete.
        """
        own = folder / f"again-{self.number}"
        (own / "target").mkdir(parents=True)
        try:
            with RecordFile(own / "record.jsonl") as file:
                writer = RunWriter(file, own / "target", lambda _: None)
                job = replace(self.job, plan=self.plan(), outlet=writer.outlet(), directory=own / "target")
                self.backend.play(job)
                writer.raise_unwritten()
            if self.job.plan.captures and (missing := divide_capture(own, folder)):
                self.job.say(missing)
        except (BackendError, TargetError, TargetRefused, AddressInUse) as error:
            return str(error).splitlines()[0]
        finally:
            _add(own, folder)
            shutil.rmtree(own, ignore_errors=True)
        return ""


def _add(own: Path, folder: Path) -> None:
    """Add the record and the target's log of a further play to those of a run. A play that never began leaves none."""
    path, log = folder / "record.jsonl", folder / "target" / "log.txt"
    if not (own / "record.jsonl").exists() or not (own / "record.jsonl").stat().st_size:
        return
    records = [read_record(path), read_record(own / "record.jsonl")]
    joined = path.with_suffix(".joined")
    with RecordFile(joined) as file:
        write_joined(file, records, records[0].header, complete=True)
    os.replace(joined, path)
    added = own / "target" / "log.txt"
    if added.exists():
        before = log.read_bytes() if log.exists() else b""
        write_whole(log, before + f"{heading(records[1].header.run)}\n".encode() + added.read_bytes())


def what_is_played_again(cases: Sequence[str], number: int, plays: int, *, all_inconclusive: bool) -> str:
    """Return the line that says which cases are played again, and why."""
    why = "" if all_inconclusive else " by the doing of the lab"
    many = f"{len(cases)} case{'' if len(cases) == 1 else 's'}"
    return f"{many} proved nothing{why}; played again, one at a time ({number} of at most {plays}): {_named(cases)}"


#: So many names fit into a line of progress.
_MOST_NAMES = 6


def _named(cases: Sequence[str]) -> str:
    more = len(cases) - _MOST_NAMES
    return ", ".join(cases[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
