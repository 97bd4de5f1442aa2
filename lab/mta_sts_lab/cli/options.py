"""The options that several commands have, and what they come to. Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from mta_sts_lab.runs import RunRequest

Selection = Annotated[
    list[str] | None,
    typer.Argument(
        help="Cases, scenarios, families or obligations; * and ? are wild: 'starttls/strip[enforce]', 'certificate/*', "
        "STS-5-03."
    ),
]
Target = Annotated[str, typer.Option("--target", help="Which sender: `sts-lab targets` lists them.")]
Modes = Annotated[list[str] | None, typer.Option("--mode", help="Only this policy mode (may be repeated).")]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", help="Only cases about obligations of this level: MUST, SHOULD ... (may be repeated)."),
]
Flaws = Annotated[list[str] | None, typer.Option("--flaw", help="Give the reference sender a flaw (repeatable).")]
Out = Annotated[Path, typer.Option("--out", help="The folder that holds the folders of all runs.")]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Repeat the random names of an earlier run (of as many processes).")
]
Json = Annotated[bool, typer.Option("--json", help="Print verdicts.json, and nothing else, to stdout.")]


def refuse(message: str) -> NoReturn:
    """Raise `UsageError` with a message that says what would be right."""
    from mta_sts_lab.runs.errors import UsageError

    raise UsageError(message)


def request_of(
    selection: Sequence[str] | None,
    modes: Sequence[str] | None,
    target: str,
    flaws: Sequence[str] | None,
    out: Path,
    seed: int | None,
) -> RunRequest:
    """Return what is to be played, as it was typed."""
    from mta_sts_lab.runs import RunRequest

    command = ("sts-lab", *sys.argv[1:])
    return RunRequest(tuple(selection or ()), tuple(modes or ()), target, tuple(flaws or ()), out, seed, command)
