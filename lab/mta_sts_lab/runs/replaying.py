"""Plays cases again that proved nothing: one at a time, in a run whose record is added to that of the first play.

What proved nothing by the lab's doing is played again. So is, once, what was not settled in time, also beside findings
that are known of the target, and what is not as it is known of it where it was slow, or fetched no policy in time; the
judge calls such a case inconclusive if the two plays differ. Every other finding stays what it is.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mta_sts_lab.backends.registry import Backend, BackendError, Job, TargetRefused
from mta_sts_lab.judge.all_plays import PLAYS_DIFFER
from mta_sts_lab.judge.checks.premises import ASKED_LATE, LAB_UNHEALTHY
from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.judge.run_findings import FINDINGS
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import RecordFile
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.target_log import heading
from mta_sts_lab.runner.plan import Plan, name_of_play, plan_run
from mta_sts_lab.runs.captures import divide_capture
from mta_sts_lab.runs.joining import write_joined
from mta_sts_lab.runs.writing import RunWriter
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.whole_files import write_whole
from mta_sts_lab.world.network import AddressInUse

#: How often a case is played again that the lab itself has spoiled: it was late, or did not wait long enough.
SPOILED_PLAYS = 2

#: What became of a case that is played again, in words that follow its name or a number of them.
BY_THE_LAB = "proved nothing by the doing of the lab"
UNSETTLED = "did not come to an end in time"
TOO_SLOW = "may have ended so because the target was too slow"
UNPROVED = "proved nothing"

_UNSETTLED = {"not-settled", "not-recovered"}

#: So many cases at most are played again because they were not settled, or because the target was slow. Each may take a
#: minute alone. On a busy machine sendmail left 17 of 655 unsettled, and Postfix let 2 out that it holds alone.
MOST_ALONE = 24

_PROVED_NOTHING = (Grade.INCONCLUSIVE, Grade.LAB_ERROR)

#: Why a case proves nothing whose control case proves nothing.
_CONTROL = ("control-not-sound", "control-missing")


def worth_another_play(
    verdicts: Sequence[Verdict],
    cases: Mapping[str, Case],
    *,
    all_inconclusive: bool,
    perhaps_too_slow: Collection[str] = (),
    in_doubt: Collection[str] = (),
) -> dict[str, str]:
    """Return the cases to play again, and of each what became of it (`BY_THE_LAB` and the like).

    These are the cases that prove nothing by the lab's doing, those that were not settled in time, and those of
    `perhaps_too_slow`, of which `perhaps_for_want_of_time` says what they are; if so asked, all that prove nothing.
    In the cases of `in_doubt` all that was found is known of the target, and something else proves nothing.
    """
    unproved = [one for one in verdicts if one.grade in _PROVED_NOTHING or one.case in in_doubt]
    found = {verdict.case: BY_THE_LAB for verdict in unproved if _spoiled(verdict)}
    found |= dict.fromkeys(_unsettled(verdicts, unproved) - found.keys(), UNSETTLED)
    found |= {
        verdict.case: found[cases[verdict.case].control]
        for verdict in verdicts
        if _lacks_its_control(verdict) and cases[verdict.case].control in found
    }
    found |= dict.fromkeys(perhaps_too_slow, TOO_SLOW)
    if all_inconclusive:
        found |= {one.case: UNPROVED for one in verdicts if one.case in found or one.grade is Grade.INCONCLUSIVE}
    return {one.case: found[one.case] for one in verdicts if one.case in found and not one.control_only}


def _unsettled(verdicts: Sequence[Verdict], unproved: Sequence[Verdict]) -> set[str]:
    """Return the cases of the unproved ones that were not settled in time, and may be where they are played alone.

    None if the target settles nothing, or leaves so much unsettled that it is how it works. One more play is enough.
    """
    unsettled = {one.case for one in unproved if _UNSETTLED & _reasons(one)}
    held = any(step.outcome is Outcome.DEFERRED for verdict in verdicts for step in verdict.steps)
    again = {verdict.case for verdict in verdicts if verdict.earlier}
    return unsettled - again if held and len(unsettled) <= MOST_ALONE else set()


def perhaps_for_want_of_time(
    verdicts: Sequence[Verdict], known: KnownComparison, short_of_time: Collection[str]
) -> frozenset[str]:
    """Return the cases that may be otherwise than expected only because the machine was too slow for the target.

    They are those of `short_of_time` (see `cases_short_of_time`) with a finding that is not known, or without one that
    is. One that an earlier play proved something of is not among them: one more play is enough. Of many only the first
    `MOST_ALONE` are; the others follow if one of those came out otherwise.
    """
    vanished = {one.case for one in known.vanished}
    played = any(play.grade in FINDINGS for verdict in verdicts for play in verdict.earlier)
    if played and not any(PLAYS_DIFFER in _reasons(verdict) for verdict in verdicts):
        return frozenset()
    found = [
        verdict.case
        for verdict in verdicts
        if verdict.case in short_of_time
        and all(play.grade in _PROVED_NOTHING for play in verdict.earlier)
        and (verdict.case in vanished or (verdict.grade in FINDINGS and verdict.case not in known.known))
    ]
    return frozenset(found[:MOST_ALONE])


def _spoiled(verdict: Verdict) -> bool:
    return verdict.grade is Grade.LAB_ERROR or not _reasons(verdict).isdisjoint((LAB_UNHEALTHY, ASKED_LATE))


def _lacks_its_control(verdict: Verdict) -> bool:
    return verdict.grade is Grade.INCONCLUSIVE and not _reasons(verdict).isdisjoint(_CONTROL)


def _reasons(verdict: Verdict) -> set[str]:
    return {one.reason for one in verdict.judgements}


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
        run = name_of_play(first.run, self.number)
        families, both = first.families, first.dual_stack
        again = replace(plan, run=run, alone=True, captures=first.captures, families=families, dual_stack=both)
        return replace(again, own_files=first.own_files)

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


def what_is_played_again(again: Mapping[str, str], number: int, plays: int) -> str:
    """Return the line that says which cases are played again, and what became of them before."""
    said = [f"{_counted(count)} {became}" for became, count in Counter(again.values()).items()]
    return f"{' and '.join(said)}; played again, one at a time ({number} of at most {plays}): {_named(list(again))}"


def _counted(cases: int) -> str:
    return f"{cases} case{'' if cases == 1 else 's'}"


#: So many names fit into a line of progress.
_MOST_NAMES = 6


def _named(cases: Sequence[str]) -> str:
    more = len(cases) - _MOST_NAMES
    return ", ".join(cases[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
