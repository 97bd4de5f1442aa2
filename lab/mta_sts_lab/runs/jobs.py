"""Plays one run in several processes, each with a lab and an instance of the target of its own.

Each process has the cases of one share (`sharding.divide`) and writes their record into a folder of its own. At the end
the records are joined into that of the run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import IO

import msgspec

from mta_sts_lab.backends.local import MOST_SIGNALS, signals_held_back
from mta_sts_lab.backends.registry import Backend, BackendError, Job, TargetRefused
from mta_sts_lab.judge import rests_on_other_cases
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.record import RecordError, RecordFile
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.runner.plan import Plan, with_needed_cases
from mta_sts_lab.runs.errors import RunBroken, UsageError
from mta_sts_lab.runs.joining import join_target_files, write_joined
from mta_sts_lab.runs.part import Judged, Order, Said, Seen, Told
from mta_sts_lab.runs.sharding import divide
from mta_sts_lab.runs.watching import Watching
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.world.network import AddressInUse, UnsafeAddress

#: Where no number is asked for, each process has at least so many cases. It takes a second to start one.
LEAST_CASES = 48

#: The errors that a part may end with. Any other is an error in the lab.
_ERRORS = {
    kind.__name__: kind for kind in (TargetError, TargetRefused, RunBroken, UsageError, AddressInUse, UnsafeAddress)
}

#: Seconds after which it is looked whether they came.
_LOOK_FOR_SIGNALS = 0.5

_DECODER: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)


def parts_of(plan: Plan, jobs: int | None) -> tuple[Plan, ...]:
    """Return the plans of the processes that play a plan, at most `jobs` of them; None: as many as pay."""
    most = max(1, min(processors(), len(plan.cases) // LEAST_CASES)) if jobs is None else jobs
    shares = divide(plan.cases, most)
    if len(shares) < 2:
        return (plan,)
    return tuple(_part(plan, share, number, len(shares)) for number, share in enumerate(shares, start=1))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _part(plan: Plan, share: tuple[Case, ...], number: int, total: int) -> Plan:
    cases = with_needed_cases(share, {case.id: case for case in plan.cases})
    added = {case.id for case in cases} - {case.id for case in share}
    return replace(
        plan,
        run=f"{plan.run}-{number}",
        # Names of its own: whoever looks into the record of the run finds each name once.
        seed=random.Random(f"part {number} of {plan.seed}").getrandbits(32),  # noqa: S311 - no secret
        cases=cases,
        control_only=(plan.control_only & {case.id for case in cases}) | added,
        at_once=total,
    )


def play_in_processes(
    job: Job, parts: Sequence[Plan], backend: Backend, watching: Watching, file: RecordFile
) -> tuple[Verdict, ...] | None:
    """Play the parts of a job's plan at the same time, and write their records into one; return the verdicts.

    The processes judge their parts, and write the flows of their cases into the folder of the run. None: the record has
    to be judged as a whole, because a verdict of a part may be another one beside the cases of the others. Raises what
    a part raised; the others are then ended, and the record is marked as incomplete.
    """
    backend.prepare(job.target, job.say)
    folder = job.directory.parent
    running: list[_Part] = []
    problem: Exception | None = None
    ended = False
    before: list[int] = []
    try:
        with signals_held_back():
            for plan in parts:
                running.append(_start(job, plan, folder))
        problem = _follow(running, watching)
        ended = problem is None
    finally:
        # A signal that comes now is obeyed when everything is down and on disk.
        with signals_held_back() as came:
            _end(running, came)
            before = _join(job.plan, file, folder, [part.folder for part in running], complete=ended)
    if problem is not None:
        raise problem
    if any(rests_on_other_cases(verdict) for part in running for verdict in part.verdicts):
        return None
    return _in_order(job.plan, running, before)


def _in_order(plan: Plan, parts: Sequence[_Part], before: Sequence[int]) -> tuple[Verdict, ...]:
    """Return the verdicts of all parts in the order of the cases, their evidence numbered as in the whole record.

    `before` counts the events that are in the record before those of each part.
    """
    found: dict[str, Verdict] = {}
    for part, offset in zip(parts, before, strict=True):
        for verdict in part.verdicts:
            # A case that others need may be in several parts.
            if verdict.case not in found or not verdict.control_only:
                judgements, of_the_run = _behind(offset, verdict.judgements), _behind(offset, verdict.of_the_run)
                found[verdict.case] = replace(verdict, judgements=judgements, of_the_run=of_the_run)
    return tuple(found[case.id] for case in plan.cases)


def _behind(offset: int, judgements: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """Return judgements whose evidence stands behind so many other events."""
    return tuple(replace(one, evidence=tuple(number + offset for number in one.evidence)) for one in judgements)


@dataclass(slots=True)
class _Part:
    """A process that plays a part of a run."""

    process: subprocess.Popen[bytes]
    #: Its standard input, output and error.
    orders: IO[bytes]
    output: IO[bytes]
    errors: IO[bytes]
    folder: Path
    #: "1 of 2".
    name: str
    pending: bytes = b""
    failed: Exception | None = None
    verdicts: tuple[Verdict, ...] = ()
    told: list[Told] = field(default_factory=list)

    def read(self) -> bool:
        """Take in what the process has written; return whether there may be more."""
        octets = os.read(self.output.fileno(), 1 << 16)
        *lines, self.pending = (self.pending + octets).split(b"\n")
        self.told += [_DECODER.decode(line) for line in lines]
        return bool(octets)

    def pass_on(self, watching: Watching) -> None:
        """Hand what was read to the watcher, and keep an error."""
        for told in self.told:
            if isinstance(told, Seen):
                watching.event(told.event)
            elif isinstance(told, Judged):
                self.verdicts = told.verdicts
            elif isinstance(told, Said):
                watching.watcher.say(f"{self.name}: {told.text}")
            else:
                self.failed = _ERRORS.get(told.kind, BackendError)(told.message)
        self.told.clear()

    def problem(self) -> Exception | None:
        """Return the error with which the process ended, if it did. It has closed its standard output."""
        status = self.process.wait()
        if status and self.failed is None:
            self.errors.seek(0)
            said = self.errors.read().decode(errors="replace").strip()
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            self.failed = RunBroken(
                f"process {self.name} of the run ended with {how}; nothing is judged. {said}".strip()
            )
        return self.failed


def _start(job: Job, plan: Plan, folder: Path) -> _Part:
    number = plan.run.rpartition("-")[2]
    place = folder / "parts" / number
    (place / "target").mkdir(parents=True)
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "from mta_sts_lab.runs.part import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        # Ctrl-C is for this program, which then ends that one.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    part = _Part(process, process.stdin, process.stdout, errors, place, f"{number} of {plan.at_once}")
    with contextlib.suppress(BrokenPipeError):
        pickle.dump(Order(plan, job.target, job.flaws, job.called, place, folder), process.stdin)
        process.stdin.flush()
    return part


def _follow(parts: Sequence[_Part], watching: Watching) -> Exception | None:
    """Pass on what the parts tell until all have ended, or one has failed; return its error."""
    with selectors.DefaultSelector() as selector:
        by_output = {part.output.fileno(): part for part in parts}
        for output in by_output:
            selector.register(output, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                part = by_output[key.fd]
                more = part.read()
                part.pass_on(watching)
                if not more:
                    selector.unregister(key.fd)
                    if (problem := part.problem()) is not None:
                        return problem
    return None


def _end(parts: Sequence[_Part], signals: Sequence[int]) -> None:
    """End the processes that are left, and wait until they have taken down what they started."""
    with selectors.DefaultSelector() as selector:
        for part in parts:
            with contextlib.suppress(OSError):
                part.orders.close()
            selector.register(part.output, selectors.EVENT_READ, part)
        while selector.get_map():
            for key, _ in selector.select(_LOOK_FOR_SIGNALS):
                if not key.data.read():
                    selector.unregister(key.fileobj)
            # The first one, which ended the run, is not among them.
            if len(signals) >= MOST_SIGNALS:
                for one in parts:
                    one.process.kill()
    for part in parts:
        part.process.wait()
        part.output.close()
        part.errors.close()


def _join(plan: Plan, file: RecordFile, folder: Path, places: Sequence[Path], *, complete: bool) -> list[int]:
    """Write what the parts have on record into one file, and put their other files together.

    Returns how many events are in it before those of each part.
    """
    try:
        return _write_one(plan, file, folder, places, complete=complete)
    except OSError as error:
        where = error.filename or file.path
        raise RunBroken(f"{where}: cannot be written: {error.strerror}; nothing of this run is judged") from error


def _write_one(plan: Plan, file: RecordFile, folder: Path, places: Sequence[Path], *, complete: bool) -> list[int]:
    records = []
    for place in places:
        # A process that was killed leaves no whole record; one that never came as far leaves none.
        with contextlib.suppress(RecordError):
            records.append(read_record(place / "record.jsonl"))
    if records:
        there = {case.id for record in records for case in record.header.cases}
        header = msgspec.structs.replace(
            records[0].header,
            run=plan.run,
            seed=plan.seed,
            cases=tuple(case for case in plan.cases if case.id in there),
        )
        write_joined(file, records, header, complete=complete and len(records) == len(places))
    join_target_files(folder, {f"{plan.run}-{place.name}": place for place in places if place.exists()})
    shutil.rmtree(folder / "parts", ignore_errors=True)
    return list(accumulate((len(record.events) for record in records[:-1]), initial=0))
