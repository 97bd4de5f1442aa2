"""One run from beginning to end: the world is built, the cases are played, everything is taken down again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from lab.attacks.campaign import Campaign
from lab.record import Recorder
from lab.runner.outlet import Outlet
from lab.runner.patience import IN_PROCESS, Patience
from lab.runner.plan import Plan, header_of
from lab.runner.play import Stage, play
from lab.runner.queue_watch import QueueWatch
from lab.targets.contract import Target, TargetError
from lab.targets.flaws import parse_flaws
from lab.targets.reference.target import InProcessTarget
from lab.world.internet import Internet
from lab.world.network import LoopbackNetwork, Network
from lab.world.pki import Authority

#: The virtual prefix of a run in process. Any part of 198.18.0.0/15 would do: nothing of it leaves the process.
PREFIX_IN_PROCESS = "198.18.64.0/18"

#: Starts a target in a world that is already up: takes the network, the resolver's address, the CA in PEM, and the
#: recorder (a target that is part of the lab has bugs of the lab).
StartTarget = Callable[[Network, str, bytes, Recorder], Awaitable[Target]]


async def run(
    plan: Plan,
    network: Network,
    prefix: str,
    authority: Authority,
    start_target: StartTarget,
    patience: Patience,
    outlet: Outlet,
) -> None:
    """Play a plan's cases and hand the record to the outlet.

    The footer says whether the run was complete: an interrupt leaves an incomplete record, and is raised again.
    """
    recorder = Recorder()
    complete = False
    internet = await Internet.open(network, authority, recorder, prefix=prefix, seed=plan.seed)
    try:
        target = await start_target(network, internet.dns_address, authority.certificate_pem, recorder)
        try:
            about = await target.about()
            internet.publish_keys(about.dkim_records)
            outlet.header(header_of(plan, about))
            recorder.listen(outlet.event)
            campaign = Campaign(recorder, authority)
            watch = QueueWatch(target, recorder, patience.queue_poll, patience.queue_look)
            # Not the seed itself: the world draws its names from that, and canaries must not look like them.
            dice = random.Random(f"canaries of {plan.seed}")  # noqa: S311 - they have to be distinct, not secret
            stage = Stage(target, about, internet, campaign, recorder, watch, patience, dice)
            try:
                await play(stage, plan.cases, plan.supporting)
                complete = True
            finally:
                await asyncio.shield(campaign.close())
            # A target that has gone is not asked for its log: that takes a whole deadline and brings nothing.
            outlet.target_log(f"{watch.broken}\n" if watch.broken else await _log_of(target))
        finally:
            await asyncio.shield(target.close())
    finally:
        await asyncio.shield(internet.close())
        outlet.footer(recorder.footer(complete))


async def _log_of(target: Target) -> str:
    try:
        return await target.logs()
    except TargetError as error:
        return f"the target shows no log: {error}\n"


async def run_in_process(
    plan: Plan, directory: Path, flaws: frozenset[str], outlet: Outlet, patience: Patience = IN_PROCESS
) -> None:
    """Play a plan against the reference sender in this process.

    `directory` is the sender's own, for queue and cache.
    """

    async def start(network: Network, dns_address: str, ca_pem: bytes, recorder: Recorder) -> Target:
        target = InProcessTarget(
            network=network,
            dns=dns_address,
            ca_pem=ca_pem.decode(),
            directory=directory,
            flaws=parse_flaws(flaws),
            on_error=recorder.lab_failed,
        )
        await target.start()
        return target

    authority = Authority.create()
    await run(plan, LoopbackNetwork(), PREFIX_IN_PROCESS, authority, start, patience, outlet)
