"""One run from beginning to end: the world is built, the cases are played, everything is taken down again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mta_sts_lab.adapter_check import AdapterView, why_not_ready
from mta_sts_lab.adapter_check.observed import CheckedTarget, ObservedTarget
from mta_sts_lab.adapter_check.probes import HONEST, probes_before_a_run, probes_for, probes_of
from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.model import About, Case
from mta_sts_lab.record import Recorder
from mta_sts_lab.reference.flaws import parse_flaws
from mta_sts_lab.reference.settings import IN_PROCESS as SETTINGS_IN_PROCESS
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan, header_of
from mta_sts_lab.runner.play import play
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.runner.report_call import CAPABILITY
from mta_sts_lab.runner.run_context import RunContext
from mta_sts_lab.runner.run_timeouts import IN_PROCESS, Timeouts
from mta_sts_lab.targets.black_box import BlackBox
from mta_sts_lab.targets.contract import NotNow, Target, TargetError
from mta_sts_lab.timeouts import HONEST_DELIVERY, PROBE, Deadline
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork, Network
from mta_sts_lab.world.pki import Authority

#: The virtual prefix of a run in process. Any part of 198.18.0.0/15 would do: nothing of it leaves the process.
PREFIX_IN_PROCESS = "198.18.64.0/18"

#: Starts a target in a world that is already up: takes the network, the resolver's address, the CA in PEM, and the
#: recorder (a target that is part of the lab has bugs of the lab).
StartTarget = Callable[[Network, str, bytes, Recorder], Awaitable[Target]]

#: The same for a target that may not be up yet, and whose mail port is tried by itself.
StartChecked = Callable[[Network, str, bytes, Recorder], Awaitable[CheckedTarget]]


async def run(
    plan: Plan,
    network: Network,
    prefix: str,
    authority: Authority,
    start_target: StartTarget,
    timeouts: Timeouts,
    outlet: Outlet,
) -> None:
    """Play a plan's cases and hand the record to the outlet.

    The footer says whether the run was complete: an interrupt leaves an incomplete record, and is raised again. Raises
    `TargetError`, and leaves no record, when the target does not deliver what is honest: no case would prove anything.
    """
    async with _grounds(plan, network, prefix, authority, timeouts, outlet) as grounds:
        whole = await start_target(network, grounds.internet.dns_address, authority.certificate_pem, grounds.recorder)
        target = BlackBox(whole) if plan.black_box else whole
        try:
            about = await target.about()
            async with grounds.stage(target, about) as stage:
                await _see_that_it_is_ready(stage)
                outlet.header(header_of(plan, about, grounds.recorder.clock_began))
                grounds.recorder.listen(outlet.event)
                await play(stage, plan.cases, plan.supporting)
                grounds.complete = True
            # A target that has gone is not asked for its log: that takes a whole deadline and brings nothing. One that
            # is a black box is: its log proves nothing here, and tells whoever reads on.
            broken = stage.watch.broken
            outlet.target_log(f"{broken}\n" if broken else await _log_of(whole))
        finally:
            await asyncio.shield(target.close())


async def check(
    plan: Plan,
    network: Network,
    prefix: str,
    authority: Authority,
    start_target: StartChecked,
    timeouts: Timeouts,
    outlet: Outlet,
    ready_seconds: float,
) -> None:
    """Play the probes of an adapter, try each part of its contract, and hand the record to the outlet.

    The target need not be up: for that it has `ready_seconds`, and how it ended is on record. The plan has no cases of
    its own.
    """
    async with _grounds(plan, network, prefix, authority, timeouts, outlet) as grounds:
        whole = await start_target(network, grounds.internet.dns_address, authority.certificate_pem, grounds.recorder)
        target = ObservedTarget(whole, grounds.recorder)
        try:
            about, takes_mail = await target.come_up(ready_seconds)
            checked = replace(plan, cases=probes_of(about.capabilities))
            outlet.header(header_of(checked, about, grounds.recorder.clock_began))
            grounds.recorder.listen(outlet.event)
            if takes_mail:
                async with grounds.stage(target, about) as stage:
                    await _play_probes(stage, target)
                broken = stage.watch.broken
                outlet.target_log(f"{broken}\n" if broken else await _log_of(target))
            grounds.complete = True
        finally:
            await asyncio.shield(target.close())


@dataclass(slots=True)
class _Grounds:
    """A world that is up, and the record of what happens in it."""

    plan: Plan
    internet: Internet
    recorder: Recorder
    authority: Authority
    timeouts: Timeouts
    complete: bool = False

    @contextlib.asynccontextmanager
    async def stage(self, target: Target, about: About) -> AsyncIterator[RunContext]:
        """Return everything that cases are played on, and end every attack afterwards."""
        self.internet.publish_keys(about.dkim_records)
        attack_controller = AttackController(self.recorder, self.authority)
        watch = QueueWatch(target, self.recorder, self.timeouts.queue_poll, self.timeouts.queue_look)
        # Not the seed itself: the world draws its names from that, and canaries must not look like them.
        dice = random.Random(f"canaries of {self.plan.seed}")  # noqa: S311 - they have to be distinct, not secret
        try:
            yield RunContext(target, about, self.internet, attack_controller, self.recorder, watch, self.timeouts, dice)
        finally:
            await asyncio.shield(attack_controller.close())


@contextlib.asynccontextmanager
async def _grounds(
    plan: Plan, network: Network, prefix: str, authority: Authority, timeouts: Timeouts, outlet: Outlet
) -> AsyncIterator[_Grounds]:
    recorder = Recorder()
    internet = await Internet.open(network, authority, recorder, prefix=prefix, seed=plan.seed)
    grounds = _Grounds(plan, internet, recorder, authority, timeouts)
    try:
        yield grounds
    finally:
        await asyncio.shield(internet.close())
        outlet.footer(recorder.footer(grounds.complete))


async def _see_that_it_is_ready(stage: RunContext) -> None:
    """See an honest message arrive, and the policy fetched if policies are claimed. Raises `TargetError`."""
    probes = probes_before_a_run(stage.about.capabilities)
    await play(_shorter(stage, HONEST_DELIVERY), probes, frozenset())
    found = why_not_ready(_view_of(stage, probes))
    if found is not None:
        raise TargetError(
            f"{stage.about.name} is not ready to be judged ({found.code or found.word}): {found.observed}. "
            f"{found.remedy} `sts-lab target-check` checks all of its adapter."
        )


async def _play_probes(stage: RunContext, target: ObservedTarget) -> None:
    """Play the honest probe; if its message arrived, try each hook, and play what can show anything with those."""
    with contextlib.suppress(TargetError):
        await stage.target.queue()
    await play(_shorter(stage, HONEST_DELIVERY), (HONEST,), frozenset())
    message = _view_of(stage, (HONEST,)).message(HONEST, HONEST.steps[0].name)
    if message is None or not message.outcome().delivered:
        return
    offered = await _offered(stage)
    target.hold_flushes(stage.timeouts.own_rhythm.seconds, PROBE.seconds)
    await play(_shorter(stage, PROBE), probes_for(stage.about.capabilities, offered), frozenset())


async def _offered(stage: RunContext) -> list[str]:
    """Try each hook while nothing is at stake; return those that can be used."""
    target = stage.target
    tries: dict[str, Callable[[], Awaitable[None]]] = {
        "flush": target.flush,
        "clock": lambda: target.advance(0),
        "restart": lambda: target.restart("TERM"),
    }
    if CAPABILITY not in stage.about.capabilities:
        # Where reports are claimed they are asked for once there is something to report.
        tries["reports"] = target.reports
    offered: list[str] = []
    for part, call in tries.items():
        with contextlib.suppress(TargetError):
            # "Not now" is what a target says that offers it.
            with contextlib.suppress(NotNow):
                await call()
            offered.append(part)
    return offered


def _shorter(stage: RunContext, limit: Deadline) -> RunContext:
    """Return a stage on which no message is waited for longer than this, its retries not counted."""
    settle = min(limit, stage.timeouts.settle, key=lambda deadline: deadline.seconds)
    recover = min(limit, stage.timeouts.recover, key=lambda deadline: deadline.seconds)
    return replace(stage, timeouts=replace(stage.timeouts, settle=settle, recover=recover))


def _view_of(stage: RunContext, probes: Sequence[Case]) -> AdapterView:
    cases = ("", *(probe.id for probe in probes))
    return AdapterView(stage.about, [event for case in cases for event in stage.recorder.of_case(case)])


async def _log_of(target: Target) -> str:
    try:
        return await target.logs()
    except TargetError as error:
        return f"the target shows no log: {error}\n"


async def run_in_process(
    plan: Plan, directory: Path, flaws: frozenset[str], outlet: Outlet, timeouts: Timeouts = IN_PROCESS
) -> None:
    """Play a plan against the reference sender in this process.

    `directory` is the sender's own, for queue and cache.
    """
    start = _reference_sender(directory, flaws, _BY_ITSELF if plan.black_box else SETTINGS_IN_PROCESS)
    await run(plan, LoopbackNetwork(), PREFIX_IN_PROCESS, Authority.create(), start, timeouts, outlet)


async def check_in_process(
    plan: Plan, directory: Path, flaws: frozenset[str], outlet: Outlet, timeouts: Timeouts = IN_PROCESS
) -> None:
    """Check the reference sender in this process as if it were anybody's; see `run_in_process`."""
    start = _reference_sender(directory, flaws, SETTINGS_IN_PROCESS)
    await check(plan, LoopbackNetwork(), PREFIX_IN_PROCESS, Authority.create(), start, timeouts, outlet, 0.0)


#: A sender that nobody can ask for an attempt makes its own, and far enough apart for each to count as one.
_BY_ITSELF = replace(SETTINGS_IN_PROCESS, retry_seconds=5.5, longest_retry_seconds=5.5)


def _reference_sender(
    directory: Path, flaws: frozenset[str], settings: Settings
) -> Callable[..., Awaitable[InProcessTarget]]:
    async def start(network: Network, dns_address: str, ca_pem: bytes, recorder: Recorder) -> InProcessTarget:
        target = InProcessTarget(
            network=network,
            dns=dns_address,
            ca_pem=ca_pem.decode(),
            directory=directory,
            flaws=parse_flaws(flaws),
            settings=settings,
            on_error=recorder.lab_failed,
        )
        await target.start()
        return target

    return start
