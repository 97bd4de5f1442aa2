"""`sts-lab run`: what was typed. Everything heavy is imported where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.ci import Annotations, ForCi, Junit, JunitKnown, Known, KnownAs, Sarif, WriteKnown
from mta_sts_lab.cli.exercise import ForSender, with_exercise
from mta_sts_lab.cli.families import FamilyWord
from mta_sts_lab.cli.options import Flaws, Json, Levels, Modes, Out, Seed, Selection, refuse, request_of
from mta_sts_lab.cli.output import aside, console, say_document
from mta_sts_lab.cli.scenarios import Scenarios, open_scenarios, status_with
from mta_sts_lab.cli.shards import Jobs, Shards, Times, with_shard
from mta_sts_lab.cli.telling import (
    MOST_REPORTS,
    in_short,
    lines_of_cases,
    tell_each,
    tell_findings,
    tell_reports,
    watched,
)
from mta_sts_lab.cli.up import Keep, Pcap, check_keep

if TYPE_CHECKING:
    from mta_sts_lab.runs import RunRequest
    from mta_sts_lab.runs.several import TargetEnded

TargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help="Which sender (`sts-lab targets` lists them); several are played one after the other. `all` means the "
        "reference sender and every target that comes with the lab.",
        show_default="reference",
    ),
]
Since = Annotated[
    str,
    typer.Option(
        "--since", metavar="RUN", help="Only cases that this run did not have, or had otherwise, or did not prove."
    ),
]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="Lay your configuration over the target's: /etc/postfix, mta-sts-daemon.yml, or FILE=/place/in/container "
        "(repeatable). Prints what was kept and what was overridden.",
    ),
]
Install = Annotated[
    list[str] | None,
    typer.Option(
        "--install",
        metavar="FILE",
        help="Install a package of yours (x.deb) or a program (FILE=/usr/sbin/x) into the target's image (repeatable).",
    ),
]


#: What `--json` says where there would be more than one document.
_NOT_ONE_DOCUMENT = (
    "--json prints the verdicts of one target. With several, each run's folder has its verdicts.json, and "
    "`sts-lab matrix RUN... --json` prints them as one document"
)


def run(
    selection: Selection = None,
    target: TargetNames = None,
    mode: Modes = None,
    level: Levels = None,
    since: Since = "",
    flaw: Flaws = None,
    out: Out = Path("runs"),
    seed: Seed = None,
    json: Json = False,
    black_box: Annotated[
        bool, typer.Option("--black-box", help="Use none of the target's hooks: slower, and nothing is restarted.")
    ] = False,
    command: Annotated[
        str | None,
        typer.Option("--command", help="Instead of --target: a program of this machine, run in namespaces of its own."),
    ] = None,
    smtp: Annotated[
        int | None, typer.Option("--smtp", help="The port on which --command takes mail.", show_default="25")
    ] = None,
    ready: Annotated[
        float | None, typer.Option("--ready", help="Seconds that --command has until it takes mail.", min=0.1)
    ] = None,
    claims: Annotated[
        list[str] | None, typer.Option("--claims", help="What --command claims to do: mta-sts, dane ... (repeatable).")
    ] = None,
    retry_inconclusive: Annotated[
        int | None,
        typer.Option(
            "--retry-inconclusive",
            min=0,
            help="Play cases that prove nothing again, one at a time, at most so often. Without it that is done twice, "
            "and only where the lab itself was not in order; 0: never.",
        ),
    ] = None,
    shard: Shards = None,
    times: Times = None,
    scenarios: Scenarios = None,
    exercise: ForSender = None,
    config: Config = None,
    install: Install = None,
    known: Known = None,
    write_known: WriteKnown = None,
    junit: Junit = None,
    junit_known: JunitKnown = KnownAs.SKIPPED,
    sarif: Sarif = None,
    annotations: Annotations = None,
    jobs: Jobs = None,
    keep: Keep = False,
    family: FamilyWord = "",
    pcap: Pcap = False,
) -> None:
    """Play cases against a target and judge what it did."""
    from mta_sts_lab import runs
    from mta_sts_lab.runs.several import named_targets

    if command is not None and (target or flaw):
        refuse("--command is a target of its own; leave out --target and --flaw")
    if command is None and (smtp is not None or ready is not None or claims):
        refuse("--smtp, --ready and --claims describe the program of --command, which is missing: --command './mymta'")
    names = named_targets(target or ["reference"])
    request = replace(request_of(selection, mode, names[0], flaw, out, seed), black_box=black_box)
    request = replace(request, levels=tuple(level or ()), since=since, family=family)
    request = replace(request, scenarios=scenarios, retry_inconclusive=retry_inconclusive)
    if command is not None:
        from mta_sts_lab.backends.process import target_of_command

        request = replace(
            request, unnamed_target=target_of_command(command, 25 if smtp is None else smtp, ready, claims or ())
        )
    request = replace(with_shard(request, shard, times), jobs=jobs, keep=keep, pcap=pcap)
    check_keep(keep, selection or (), len(names))
    if pcap and jobs is not None and jobs != 1:
        refuse("--pcap captures the network of one process; leave out --jobs")
    request = replace(request, known_failures=known, config=tuple(config or ()), install=tuple(install or ()))
    if (config or install) and (command is not None or len(names) > 1):
        refuse("--config and --install are for one shipped target: --target postfix --config /etc/postfix")
    for_ci = ForCi(junit, junit_known, sarif, annotations, write_known)
    for_ci.check(len(names))
    request = with_exercise(request, exercise, other_sender=bool(command is not None or target))
    if len(names) > 1 and json:
        refuse(_NOT_ONE_DOCUMENT)
    catalogue = open_scenarios(scenarios)
    if len(names) > 1:
        raise typer.Exit(status_with(catalogue, _run_each(request, names)))
    lines = lines_of_cases(screen := console(stderr=True), json=json)
    with watched(screen, lines=lines) as watcher:
        result = runs.run(request, watcher, catalogue)
    if json:
        say_document(result.document.decode())
    else:
        tell_reports(console(), result, MOST_REPORTS)
        tell_findings(console(), result, lines)
    for_ci.write(result)
    raise typer.Exit(status_with(catalogue, result.summary.exit_code))


def _run_each(request: RunRequest, targets: Sequence[str]) -> int:
    """Play a request against several targets, print how each ended, and return the worst exit status."""
    from mta_sts_lab.reports.summary import worst_exit
    from mta_sts_lab.runs.several import run_each

    screen = console(stderr=True)
    ended: list[TargetEnded] = []
    try:
        for one in run_each(request, targets, lambda target, number: watched(screen, target, number)):
            ended.append(one)
            aside(screen, f"{one.target}: {in_short(one)} ({len(ended)} of {len(targets)})")
    finally:
        tell_each(console(), ended)
    return worst_exit(one.status for one in ended)
