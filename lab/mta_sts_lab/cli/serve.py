"""`sts-lab serve`: the lab joins somebody's network. Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab.cli.families import FamilyWord
from mta_sts_lab.cli.options import Json, Out
from mta_sts_lab.cli.output import console, say_document
from mta_sts_lab.cli.telling import tell_findings, watched
from mta_sts_lab.cli.up import Pcap


def serve(
    selection: Annotated[list[str] | None, typer.Argument(help="Cases, scenarios or families; as for `run`.")] = None,
    network: Annotated[str, typer.Option("--network", help="The network of the container engine to join.")] = "",
    container: Annotated[str, typer.Option("--container", help="The container with the mail server.")] = "",
    at: Annotated[
        str,
        typer.Option("--at", help="Instead of both, in a container of your project: the mail server's name there."),
    ] = "",
    smtp: Annotated[int, typer.Option("--smtp", help="The port on which it takes mail.", min=1, max=65535)] = 25,
    claims: Annotated[
        list[str] | None, typer.Option("--claims", help="What it claims to do, if it has no hooks: mta-sts, tls-rpt.")
    ] = None,
    retry: Annotated[
        float, typer.Option("--retry", help="Seconds between its attempts, if it has no hooks.", min=0.0)
    ] = 0.0,
    ready: Annotated[float, typer.Option("--ready", help="Seconds that it has until it takes mail.", min=0.1)] = 60.0,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Write the run's CA here, too, where it is mounted from."),
    ] = None,
    family: FamilyWord = "",
    out: Out = Path("runs"),
    pcap: Pcap = False,
    json: Json = False,
) -> None:
    """Play against a container of your own, in its network.

    It prints which resolver, which CA and which way in the mail server needs, waits until its container is up, plays
    and judges. Its hooks are used if they answer; otherwise nothing but mail is asked of it.
    """
    from mta_sts_lab import runs
    from mta_sts_lab.backends.joined import target_in_network
    from mta_sts_lab.backends.target_folder import Joined
    from mta_sts_lab.runs import RunRequest
    from mta_sts_lab.runs.errors import UsageError

    if bool(at) == bool(network or container) or bool(network) != bool(container):
        raise UsageError("where is the mail server? --network NAME and --container NAME, or, in a container, --at NAME")
    target = target_in_network(Joined(network, at or container, tuple(claims or ()), retry, str(ca or "")), smtp, ready)
    command = ("sts-lab", *sys.argv[1:])
    request = RunRequest(
        tuple(selection or ()),
        target=at or container,
        unnamed_target=target,
        family=family,
        out=out,
        command=command,
        pcap=pcap,
    )
    with watched(console(stderr=True)) as watcher:
        result = runs.run(request, watcher)
    if json:
        say_document(result.document.decode())
    else:
        tell_findings(console(), result)
    raise typer.Exit(result.summary.exit_code)
