"""Several targets in one command, one after the other, each with a run and a folder of its own.

They are never played in parallel: the lab's time limits were measured with one run at a time, and a second run beside
it would slow both senders down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from mta_sts_lab.backends.folder import shipped_targets
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.runs.errors import INTERRUPTED, Interrupted, status_of
from mta_sts_lab.runs.scenarios import load_scenarios
from mta_sts_lab.runs.service import (
    RunRequest,
    RunResult,
    cases_of,
    find_target_for,
    run,
)
from mta_sts_lab.runs.watching import Watcher

#: What is typed for every target that comes with the lab.
ALL = "all"

#: Shows how a run is going: takes the target's name and which one of how many it is ("2 of 3").
Watched = Callable[[str, str], AbstractContextManager[Watcher]]


@dataclass(frozen=True, slots=True)
class TargetEnded:
    """How the run against one target ended. `result` is None where nothing was judged; `problem` says why."""

    target: str
    status: int
    result: RunResult | None = None
    problem: str = ""


def named_targets(names: Sequence[str]) -> tuple[str, ...]:
    """Return the targets that were asked for, each once. `all` is every target that comes with the lab."""
    shipped = tuple(shipped_targets()) if ALL in names else ()
    return tuple(dict.fromkeys(target for name in names for target in (shipped if name == ALL else (name,))))


def run_each(request: RunRequest, targets: Sequence[str], watched: Watched) -> Iterator[TargetEnded]:
    """Play a request against one target after the other; yield how each ended.

    Errors in the request are raised before anything is played. If a target does not come up, the others are played all
    the same. Raises the errors of `mta_sts_lab.runs.errors`.
    """
    catalogue = load_scenarios(request.scenarios)
    cases_of(request, catalogue)
    requests = [replace(request, target=target, command=command_for(request.command, target)) for target in targets]
    for one in requests:
        find_target_for(one)
    for number, one in enumerate(requests, start=1):
        try:
            yield _run(one, watched(one.target, f"{number} of {len(requests)}"), catalogue)
        except (Interrupted, KeyboardInterrupt) as stop:
            left = ", ".join(targets[number - 1 :])
            said = str(stop) if isinstance(stop, Interrupted) else "interrupted"
            status = stop.status if isinstance(stop, Interrupted) else INTERRUPTED
            raise Interrupted(f"{said}; not played to the end: {left}", status) from None


def command_for(command: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the command line that plays the same against one target only, for the record of that run."""
    kept: list[str] = []
    words = iter(command)
    for word in words:
        if word == "--target":
            next(words, None)
        elif not word.startswith("--target="):
            kept.append(word)
    return (*kept, "--target", target)


def _run(request: RunRequest, watched: AbstractContextManager[Watcher], catalogue: Catalogue) -> TargetEnded:
    try:
        with watched as watcher:
            result = run(request, watcher, catalogue)
    except Interrupted:
        raise
    except Exception as error:
        status = status_of(error)
        if status is None:
            raise
        return TargetEnded(request.target, status, problem=str(error))
    return TargetEnded(request.target, result.summary.exit_code, result)
