"""Several targets in one command, one after the other, each with a run and a folder of its own.

One after the other on every machine: a verdict rests on how long the lab waits for a sender, and those limits were
measured with one run at a time, which keeps two processor cores busy. A second run beside it makes both senders slow,
and what is concluded about a sender that is slow because of us is worth nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mta_sts_lab.backends.docker.folder import shipped_targets
from mta_sts_lab.cli.output import aside
from mta_sts_lab.cli.watching import watched
from mta_sts_lab.model import Grade
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.summary import worst_exit
from mta_sts_lab.reports.terminal import STYLES, summary_line
from mta_sts_lab.runs.trouble import Interrupted, status_of
from mta_sts_lab.runs.workflow import (
    IN_PROCESS,
    RunRequest,
    RunResult,
    carry_out,
    catalogue,
    check_target,
    chosen_cases,
)

#: What is typed for every target that comes with the lab.
ALL = "all"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run against one target ended. `finished` is None where there is nothing to judge; `problem` says why."""

    target: str
    status: int
    finished: RunResult | None = None
    problem: str = ""


def named_targets(names: Sequence[str]) -> tuple[str, ...]:
    """Return the targets that were asked for, each once. `all` is the reference sender and every shipped folder."""
    shipped = (IN_PROCESS, *shipped_targets()) if ALL in names else ()
    return tuple(dict.fromkeys(target for name in names for target in (shipped if name == ALL else (name,))))


def play_each(wish: RunRequest, targets: Sequence[str], screen: Console, aside_screen: Console) -> int:
    """Play the wish against one target after the other, tell how each ended, and return the worst exit status.

    What cannot be done with one of the targets, because of what was typed, is said before anything is played. A target
    that does not come up costs the others nothing. Raises what `mta_sts_lab.runs.trouble` lists; on an interrupt, after
    telling what was played until then.
    """
    wishes = [replace(wish, target=target, command=command_for(wish.command, target)) for target in targets]
    chosen_cases(catalogue(), wish.selection, wish.modes)
    for one in wishes:
        check_target(one)
    ended: list[Ended] = []
    try:
        for place, one in enumerate(wishes, start=1):
            ended.append(_play(one, f"{place} of {len(wishes)}", aside_screen))
            aside(aside_screen, f"{one.target}: {_in_short(ended[-1])} ({place} of {len(wishes)})")
    except (Interrupted, KeyboardInterrupt) as stop:
        _tell(screen, ended)
        left = ", ".join(one.target for one in wishes[len(ended) :])
        said = str(stop) or "interrupted"
        raise Interrupted(f"{said}; not played to the end: {left}") from None
    _tell(screen, ended)
    return worst_exit(one.status for one in ended)


def command_for(command: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the command that plays the same against one target only: it stands in that run's record."""
    kept: list[str] = []
    words = iter(command)
    for word in words:
        if word == "--target":
            next(words, None)
        elif not word.startswith("--target="):
            kept.append(word)
    return (*kept, "--target", target)


def _play(wish: RunRequest, place: str, screen: Console) -> Ended:
    """Play one target. What is expected to go wrong with it is how it ended, and not the end of everything."""
    try:
        with watched(screen, wish.target, place) as watcher:
            finished = carry_out(wish, watcher)
    except Interrupted:
        raise
    except Exception as error:
        status = status_of(error)
        if status is None:
            raise
        return Ended(wish.target, status, problem=str(error))
    return Ended(wish.target, finished.summary.exit_code, finished)


def _in_short(ended: Ended) -> str:
    return ended.finished.summary.meaning if ended.finished else f"not played: {ended.problem.splitlines()[0]}"


def _tell(screen: Console, ended: Iterable[Ended]) -> None:
    """Print what became of each, and the command that puts them into one table."""
    folders = []
    for one in ended:
        line = Text(f"{escape_unprintable(one.target)}: ", style="bold")
        if one.finished:
            folders.append(one.finished.folder)
            line.append_text(summary_line(one.finished.summary))
            screen.print(line)
            aside(screen, f"  record and verdicts: {one.finished.folder}/")
        else:
            line.append("not played", style=STYLES[Grade.LAB_ERROR])
            line.append(f" (status {one.status}): {_shown(one.problem)}", style="none")
            screen.print(line)
    if folders:
        aside(screen, f"\nside by side: {matrix_command(folders)}")


def _shown(problem: str) -> str:
    return "\n  ".join(escape_unprintable(line) for line in problem.splitlines())


def matrix_command(folders: Iterable[Path]) -> str:
    """Return the command that makes the page of some runs."""
    return shlex.join(["sts-lab", "matrix", *map(str, folders), "--html", "matrix.html"])
