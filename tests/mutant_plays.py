"""Plays scenarios against a mutant of the reference sender until one of them finds it, and learns which of them run what.

Each call is for a process of its own: a mutant may break anything.
"""

from __future__ import annotations

import importlib
import importlib.util
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from mta_sts_lab.backends.in_process import InProcess
from mta_sts_lab.backends.registry import Job, register
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.runner.context import IN_PROCESS
from mta_sts_lab.runner.run import RunningWorld
from mta_sts_lab.targets.contract import Target, TargetError
from mta_sts_lab.timeouts import Deadline

from tests.mutant_sources import MODULES, SOURCES, Mutant, places, text_of
from tests.playing import play

#: The grades of a finding about the sender. What stays unproved, or goes wrong in the lab, finds nothing.
FINDINGS = frozenset({Grade.FAIL, Grade.WEAK, Grade.INFO})

#: Seconds for one mutant. One that takes longer waits for what never comes, or for a busy machine: unproved.
LONGEST_PLAY = 900

#: Scenarios in the first batches, and in each further one. To play one scenario takes most of the time of four.
_BATCHES, _LARGEST_BATCH = (1, 3, 11), 60

#: A mutant may never do what is waited for, and the correct sender does it in a second.
_SHORTER = replace(
    IN_PROCESS, settle=Deadline("settle", 30), recover=Deadline("recover", 30), attempt=Deadline("attempt", 30)
)


@dataclass(frozen=True)
class Played:
    """What became of a mutant, and by or for which reason.

    It was `killed` by a finding; it `survived`, or it is `unproved` whether it would; the lab has `refused` to judge a
    sender that does not do what it says of itself, or does not take or deliver mail at all; or it was `not startable`.
    """

    result: str
    why: str = ""

    @property
    def scenario(self) -> str:
        """The scenario that has killed it."""
        return self.why.partition("[")[0]


class _OfAMutant(InProcess):
    """The reference sender, an exception in which is its own: it tries again later, as a mail server with a bug does.

    Otherwise the lab would say of each case that its own sender is broken, and a finding could rest on that alone.
    """

    async def start(self, world: RunningWorld, job: Job) -> Target:
        target = await super().start(world, job)
        target.sender.on_error = lambda where, error: None  # type: ignore[attr-defined]
        return target


def play_mutant(mutant: Mutant, catalogue: Catalogue, scenarios: Sequence[str], most: int | None = None) -> Played:
    """Play scenarios in this order, some at a time, until a case has a finding; not more than so many, if that is said."""
    if not scenarios:
        return Played("survived", "no scenario runs it")
    _limit_time()
    register(_OfAMutant(timeouts=_SHORTER))
    unproved: list[str] = []
    try:
        _put_in(mutant)
        for batch in _batches(scenarios[:most]):
            verdicts = _verdicts(catalogue, batch)
            if found := next(_findings(verdicts), ""):
                return Played("killed", found)
            unproved += [f"{one.case}: {one.grade.value}" for one in verdicts if one.grade is not Grade.PASS]
    except _TooLong:
        return Played("unproved", f"not done after {LONGEST_PLAY} s")
    except TargetError as error:
        return Played("refused", str(error))
    except Exception as error:  # the mutant's own: nothing of it is caught where it starts
        return Played("not startable", f"{type(error).__name__}: {error}")
    if most is not None and most < len(scenarios):
        unproved.append(f"{len(scenarios) - most} scenarios were not played")
    return Played("unproved", "; ".join(unproved[-5:])) if unproved else Played("survived")


def import_everything() -> None:
    """Import what a play imports, so that a copy of this process need not."""
    for name in ("attacks.toolkit.interpose", "adapter_check.run", "reference.target"):
        importlib.import_module(f"mta_sts_lab.{name}")
    _forget_sender()


def run_places(catalogue: Catalogue, scenario: str) -> set[str] | None:
    """Return the places of the reference sender that a scenario runs, None where the correct sender does not pass it."""
    _limit_time()
    register(_OfAMutant(timeouts=_SHORTER))
    importlib.import_module("mta_sts_lab.reference.target")  # what runs at its import runs everywhere
    lines: set[tuple[str, int]] = set()
    sources = str(SOURCES)

    def in_line(frame: FrameType, event: str, argument: Any) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return in_line

    def in_call(frame: FrameType, event: str, argument: Any) -> Any:
        return in_line if frame.f_code.co_filename.startswith(sources) else None

    sys.settrace(in_call)
    try:
        verdicts = _verdicts(catalogue, [scenario])
    except _TooLong:
        return None
    finally:
        sys.settrace(None)
    if any(verdict.grade is not Grade.PASS for verdict in verdicts):
        return None
    place_of = {str(SOURCES / f"{name}.py"): places(name, text_of(name)) for name in MODULES}
    return {place_of[path][line] for path, line in lines if path in place_of}


class _TooLong(SystemExit):
    """The time is over. An event loop lets nothing else through."""


def _limit_time() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST_PLAY)


def _put_in(mutant: Mutant) -> None:
    """Make a mutant the module that everybody imports from now on."""
    _forget_sender()
    name = f"mta_sts_lab.reference.{mutant.module}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(SOURCES / f"{mutant.module}.py"))
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    exec(compile(mutant.source, f"<mutant of {mutant.module}>", "exec"), made.__dict__)


def _forget_sender() -> None:
    """Have the sender's modules imported anew, but for those that the lab itself knows."""
    for name in [one for one in sys.modules if one.startswith("mta_sts_lab.reference.")]:
        if not name.endswith((".flaws", ".settings")):
            del sys.modules[name]


def _batches(scenarios: Sequence[str]) -> Iterator[Sequence[str]]:
    first = 0
    sizes = iter(_BATCHES)
    while first < len(scenarios):
        size = next(sizes, _LARGEST_BATCH)
        yield scenarios[first : first + size]
        first += size


def _verdicts(catalogue: Catalogue, scenarios: Sequence[str]) -> tuple[Verdict, ...]:
    with tempfile.TemporaryDirectory() as out:
        return play(catalogue, catalogue.find(scenarios), Path(out)).verdicts


def _findings(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield the cases of which a verdict, or a finding of the run, is about the sender, each with what is broken."""
    for verdict in verdicts:
        judgements = verdict.judgements if verdict.grade in FINDINGS else ()
        for judgement in (*judgements, *verdict.of_the_run):
            if judgement.grade in FINDINGS:
                yield f"{verdict.case} {judgement.grade.value} {judgement.obligation or '-'} {judgement.reason}"
