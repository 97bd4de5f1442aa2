"""`--shard` and `--jobs` of `sts-lab run`, and `sts-lab merge`. Everything heavy is imported where it is needed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.options import Json, Out
from mta_sts_lab.cli.output import console, say_document
from mta_sts_lab.cli.telling import tell_findings

if TYPE_CHECKING:
    from mta_sts_lab.runs import RunRequest

Shards = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Only the K-th of N shares of about the same time; `sts-lab merge` joins the runs. `env`: K and N as the "
        "environment of GitLab, CircleCI, Buildkite, Semaphore or Azure has them; `env/N`: K as it is there, or in a "
        "Kubernetes Indexed Job.",
    ),
]
Times = Annotated[
    str | None,
    typer.Option(
        "--times",
        metavar="RUN",
        help="Make the shares equal by the times of this earlier run; give all shards the same.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Play in so many processes, each with a lab and an instance of the target of its own. By default "
        "the reference sender is played in as many as there are processors (fewer for few cases), all others in one.",
    ),
]


def with_shard(request: RunRequest, shard: str | None, times: str | None) -> RunRequest:
    """Return a request for a shard of what it asks for. Raises `UsageError` and `RecordError`."""
    from mta_sts_lab.runs.errors import UsageError
    from mta_sts_lab.runs.service import find_run, seconds_of_cases
    from mta_sts_lab.runs.sharding import parse_shard

    if shard is None:
        if times is not None:
            raise UsageError("--times makes the shares of --shard equal, which is missing: --shard 2/5")
        return request
    seconds = seconds_of_cases(find_run(times, request.out)) if times else {}
    return replace(request, shard=parse_shard(shard, os.environ), seconds=seconds)


def merge(
    runs_: Annotated[list[str], typer.Argument(metavar="RUN", help="The folders of runs, or their ids.")],
    out: Out = Path("runs"),
    partial: Annotated[
        bool, typer.Option("--partial", help="Merge although a shard is missing; the result is inconclusive at best.")
    ] = False,
    json: Json = False,
) -> None:
    """Join runs of one target, such as its shards, into one.

    It makes the folder of one run, with one record that is judged again, one verdicts.json and one junit.xml.
    """
    from datetime import UTC, datetime

    from mta_sts_lab.runner.plan import new_run_name
    from mta_sts_lab.runs import merge as merge_runs
    from mta_sts_lab.runs.service import find_run

    # Twice the same folder is one run: a shell's `runs/*` may name it again.
    folders = list({folder.resolve(): folder for folder in (find_run(name, out) for name in runs_)}.values())
    result = merge_runs(folders, out / new_run_name(datetime.now(UTC)), partial=partial)
    if json:
        say_document(result.document.decode())
    else:
        tell_findings(console(), result)
    raise typer.Exit(result.summary.exit_code)
