"""Plays one run: builds the world, plays the cases, and takes everything down again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from mta_sts_lab.attacks.toolkit.controller import AttackController, load_mitmproxy
from mta_sts_lab.model.target import IPV6, About
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import Footer, Recorder
from mta_sts_lab.runner.context import IN_PROCESS, RunContext, Timeouts
from mta_sts_lab.runner.health import Health
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import ATTACKED, PLAYED, Plan, header_of
from mta_sts_lab.runner.play import play
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.runner.staying import bring_up, stay, tell_worlds
from mta_sts_lab.targets.black_box import BlackBox
from mta_sts_lab.targets.contract import Target, TargetError
from mta_sts_lab.world.address_pool import PREFIXES
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork, Network
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import trust_anchor


@dataclass(frozen=True, slots=True)
class RunSetup:
    """The network and the deadlines of a run. By default the world is built in this process."""

    network: Network = field(default_factory=LoopbackNetwork)
    prefixes: Mapping[Family, str] = field(default_factory=lambda: PREFIXES)
    authority: Authority = field(default_factory=Authority.create)
    timeouts: Timeouts = IN_PROCESS


@dataclass(slots=True)
class RunningWorld:
    """A world that is up, and the recorder of its events."""

    plan: Plan
    setup: RunSetup
    internet: Internet
    recorder: Recorder
    complete: bool = False
    #: The last line of the record, where the world stays up after the last event of the run.
    footer: Footer | None = None

    @property
    def network(self) -> Network:
        """The network on which the world's hosts listen."""
        return self.setup.network

    @property
    def dns_address(self) -> str:
        """The address of the world's name server."""
        return self.internet.dns_address

    @property
    def ca_pem(self) -> bytes:
        """The certificate of the world's CA."""
        return self.setup.authority.certificate_pem

    @property
    def trust_anchor(self) -> str:
        """The trust anchor of the domains that are really signed, as a line of a zone file."""
        return trust_anchor(self.ca_pem)

    @contextlib.asynccontextmanager
    async def context(self, target: Target, about: About) -> AsyncIterator[RunContext]:
        """Yield the context of the cases, and end every attack afterwards."""
        self.internet.publish_keys(about.dkim_records)
        controller = AttackController(self.recorder, self.setup.authority)
        timeouts = self.setup.timeouts
        most = 1 if self.plan.alone else max(1, timeouts.cases_at_once // self.plan.at_once)
        timeouts = replace(timeouts, cases_at_once=most)
        if self.plan.alone:
            # What is played again is waited for in full.
            timeouts = replace(timeouts, policy_question=timeouts.learn_policy)
        watch = QueueWatch(target, self.recorder, timeouts.queue_poll, timeouts.queue_look)
        # Not the seed itself: the world draws its names from that, and canaries must not look like them.
        dice = random.Random(f"canaries of {self.plan.seed}")  # noqa: S311 - they have to be distinct, not secret
        health = Health(self.internet, self.recorder)
        health.start()
        try:
            yield RunContext(target, about, self.internet, controller, self.recorder, watch, timeouts, dice, health)
        finally:
            await health.stop()
            await asyncio.shield(controller.close())


#: Starts a target in a world. May raise `TargetError`.
StartTarget = Callable[[RunningWorld], Awaitable[Target]]

#: Checks that a target is ready for the cases, and returns the context in which to play them. Raises `TargetError`.
CheckReady = Callable[[RunContext], Awaitable[RunContext]]

#: May add to the record when all cases are played.
Conclude = Callable[[RunContext, Plan], Awaitable[None]]


@contextlib.asynccontextmanager
async def running_world(plan: Plan, setup: RunSetup, outlet: Outlet) -> AsyncIterator[RunningWorld]:
    """Build a world, take it down at the end, and hand the footer to the outlet."""
    recorder = Recorder()
    internet = await Internet.open(
        setup.network, setup.authority, recorder, setup.prefixes, seed=plan.seed, families=plan.families
    )
    world = RunningWorld(plan, setup, internet, recorder)
    try:
        yield world
    finally:
        await asyncio.shield(internet.close())
        outlet.footer(world.footer or recorder.footer(world.complete))


async def run(
    plan: Plan,
    setup: RunSetup,
    start: StartTarget,
    ready: CheckReady,
    outlet: Outlet,
    conclude: Conclude | None = None,
) -> None:
    """Play a plan's cases and hand the record to the outlet. `conclude` may add to the record when all is played.

    The footer says whether the run was complete: an interrupt leaves an incomplete record, and is raised again. Raises
    `TargetError`, and leaves the target's log but no record, when the target is not `ready`.
    """
    async with running_world(plan, setup, outlet) as world:
        if any(step.attacks for case in plan.cases for step in case.steps):
            # A target is starting up meanwhile.
            load_mitmproxy()
        whole = await start(world)
        target = BlackBox(whole) if plan.black_box else whole
        try:
            about = _with_families(await target.about(), plan)
            async with world.context(target, about) as context:
                playing = context
                if plan.stays != ATTACKED:
                    # A target that is not ready is what somebody may want to look into.
                    playing = await _made_ready(ready, context, whole, outlet)
                outlet.header(header_of(plan, about, world.recorder.clock_began))
                world.recorder.listen(outlet.event)
                await _play(playing, plan, outlet, world, conclude)
            # The log is no evidence for the judge here, but it helps whoever looks into a finding.
            await keep_log(context.watch, whole, outlet)
        finally:
            await asyncio.shield(target.close())


def _with_families(about: About, plan: Plan) -> About:
    """Return what a target says about itself, and whether its run has hosts in both families."""
    return replace(about, capabilities=(*about.capabilities, IPV6)) if plan.dual_stack else about


async def _made_ready(ready: CheckReady, context: RunContext, target: Target, outlet: Outlet) -> RunContext:
    try:
        return await ready(context)
    except TargetError:
        await keep_log(context.watch, target, outlet)
        raise


async def _play(
    context: RunContext, plan: Plan, outlet: Outlet, world: RunningWorld, conclude: Conclude | None
) -> None:
    if plan.stays == ATTACKED:
        await bring_up(context, plan.cases[0])
    else:
        await play(context, plan.cases, plan.control_only)
        if conclude is not None:
            await conclude(context, plan)
    world.complete = True
    if plan.stays == PLAYED:
        tell_worlds(context, tuple(case for case in plan.cases if case.id not in plan.control_only))
        # What people do in the world from now on is no part of the run.
        world.recorder.forget(outlet.event)
        world.footer = world.recorder.footer(complete=True)
        await keep_log(context.watch, context.target, outlet)
    if plan.stays:
        await stay()


async def keep_log(watch: QueueWatch, target: Target, outlet: Outlet) -> None:
    """Store the target's log. A target that has ended is not asked, because that takes a whole deadline."""
    log = f"{watch.broken}\n"
    if not watch.broken:
        try:
            log = await target.logs()
        except TargetError as error:
            log = f"the target shows no log: {error}\n"
    outlet.target_file("log.txt", log)
