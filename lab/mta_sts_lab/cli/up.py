"""`sts-lab up`, and `--keep` of `sts-lab run`: worlds that stay up. Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab.cli.families import FamilyWord
from mta_sts_lab.cli.output import aside, console, say
from mta_sts_lab.cli.scenarios import Scenarios, open_scenarios

Keep = Annotated[
    bool,
    typer.Option(
        "--keep", help="Leave the world of a case up when it has been played, print how to enter it, until Ctrl-C."
    ),
]


Pcap = Annotated[
    bool,
    typer.Option(
        "--pcap",
        help="Capture the packets of each case, both sides of an attacker, with the secrets of TLS: captures/*.pcapng "
        "in the folder of the run, for Wireshark. Not with the built-in sender, which has no network.",
    ),
]


def check_keep(keep: bool, selection: Sequence[str], targets: int) -> None:
    """Refuse `--keep` where it would leave more than the world of one scenario up. Raises `UsageError`."""
    from mta_sts_lab.runs.errors import UsageError

    if keep and (targets > 1 or len(selection) != 1 or "/" not in selection[0] or "*" in selection[0]):
        raise UsageError("--keep is for one case and one target: sts-lab run 'starttls/strip[enforce]' --keep")


def up(
    case: Annotated[str, typer.Argument(help="A case, or a scenario: 'starttls/strip[enforce]'.")],
    target: Annotated[str, typer.Option("--target", help="Which sender: one in Docker, or a folder.")] = "postfix",
    command: Annotated[
        str | None,
        typer.Option("--command", help="Instead of --target: a program of this machine, run in namespaces of its own."),
    ] = None,
    smtp: Annotated[int, typer.Option("--smtp", help="The port on which --command takes mail.")] = 25,
    family: FamilyWord = "",
    scenarios: Scenarios = None,
) -> None:
    """Bring up the world of a case, and leave it until Ctrl-C.

    Its attack is in force, and swaks, openssl or a debugger can be used in it.
    Nothing is sent and nothing judged. It prints the resolver, the MX hosts, the policy's URL, the CA and how to enter,
    and takes everything down at Ctrl-C.
    """
    from mta_sts_lab.backends.folder import find_target
    from mta_sts_lab.backends.process import target_of_command
    from mta_sts_lab.backends.registry import Job, find_backend
    from mta_sts_lab.runner.outlet import Outlet
    from mta_sts_lab.runner.plan import plan_run
    from mta_sts_lab.runs.entering import bring_up, one_case
    from mta_sts_lab.runs.families import in_families

    chosen = one_case(open_scenarios(scenarios), case)
    found = target_of_command(command, smtp, None) if command is not None else find_target(target)
    find_backend(found.file.backend).check(found, ())
    plan = in_families(plan_run((), {}, ("sts-lab", *sys.argv[1:]), None), family, found)
    nothing = Outlet(lambda _: None, lambda _: None, lambda _: None, lambda _, __: None)
    try:
        bring_up(plan, chosen, Job(plan, found, nothing, Path(), say=say))
    except KeyboardInterrupt:
        # Before the world was up.
        raise typer.Exit(130) from None
    aside(console(stderr=True), "everything was taken down")
