"""One of the processes in which a run is played: plays its part of the plan into a folder of its own.

`jobs.py` starts it, sends an `Order` and reads `Seen`, `Said` and `Failed` from its standard output, a line each.
Standard input stays open. When it ends, because the run was interrupted or killed, this process takes down what it
started, and ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mta_sts_lab.backends.local import few_collections
from mta_sts_lab.backends.registry import Job, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.events import CaseBegan, CaseEnded, Event, LabFailed, StepBegan, TargetFailed
from mta_sts_lab.judge import judge
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.writers import write_files
from mta_sts_lab.reports.writers.mitm import flow_files, has_flows
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner.plan import Plan
from mta_sts_lab.runs.errors import Interrupted, fault_of_the_lab, status_of
from mta_sts_lab.runs.leftovers import hold
from mta_sts_lab.runs.writing import RunWriter, interruptible, record_in

#: The kinds of events that are passed on: those that show how a run is going. The record has all.
_SHOWN = (CaseBegan, StepBegan, CaseEnded, LabFailed, TargetFailed)


@dataclass(frozen=True, slots=True)
class Order:
    """What to play, and the folder to play it into, below the folder of the run."""

    plan: Plan
    target: TargetFolder
    flaws: frozenset[str]
    called: str
    folder: Path
    run_folder: Path


class Seen(msgspec.Struct, frozen=True, tag=True):
    """An event of the part's record."""

    event: Event


class Said(msgspec.Struct, frozen=True, tag=True):
    """A line of progress to print."""

    text: str


class Judged(msgspec.Struct, frozen=True, tag=True):
    """The verdicts on the cases of the part. Their evidence are numbers of events of the part's record."""

    verdicts: tuple[Verdict, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The error with which the part ended: the name of its class, and its message."""

    kind: str
    message: str


Told = Seen | Said | Judged | Failed


def main() -> None:
    """Play the order of standard input."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that started this one
    tell = _Teller()
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    try:
        hold(order.run_folder)
        _play(order, tell)
    except Interrupted as stop:
        raise SystemExit(stop.status) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGTERM) from None
    except Exception as error:  # noqa: BLE001 - the process that started this one raises it
        if status_of(error) is None:
            tell(Failed("RunBroken", fault_of_the_lab(error)))
        else:
            tell(Failed(type(error).__name__, str(error)))
        raise SystemExit(1) from None


def _play(order: Order, tell: _Teller) -> None:
    def seen(event: Event) -> None:
        if isinstance(event.fact, _SHOWN):
            tell(Seen(event))

    with interruptible(order.folder), record_in(order.folder) as file:
        writer = RunWriter(file, order.folder / "target", seen)
        directory = order.folder / "target"
        job = Job(order.plan, order.target, writer.outlet(), directory, order.flaws, tell.say, called=order.called)
        find_backend(order.target.file.backend).play(job)
        writer.raise_unwritten()
        file.close()
        tell(_judged(order))


@few_collections()
def _judged(order: Order) -> Judged:
    """Judge the part, and write the flows of its cases into the folder of the run: that takes as long as both do."""
    record = read_record(order.folder / "record.jsonl")
    verdicts = tuple(judge(record, load_requirements()))
    write_files(order.run_folder, flow_files(record, {verdict.case for verdict in verdicts if has_flows(verdict)}))
    return Judged(verdicts)


class _Teller:
    """Writes lines to what was standard output. What else is printed goes to standard error."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)

    def __call__(self, told: Told) -> None:
        self._stream.write(msgspec.json.encode(told) + b"\n")

    def say(self, text: str) -> None:
        """Pass on a line of progress."""
        self(Said(text))


def _end_with_the_run() -> None:
    """Interrupt this process when standard input ends."""
    # Not through `sys.stdin`: the interpreter could not end while a thread waits in it.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
