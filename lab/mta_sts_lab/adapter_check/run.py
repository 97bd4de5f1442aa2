"""Plays the probes: a few before every run, to check that the target is ready, and all for a check of its adapter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from mta_sts_lab.adapter_check.delivery import why_not_ready
from mta_sts_lab.adapter_check.finding import AdapterView
from mta_sts_lab.adapter_check.observed import ObservedTarget
from mta_sts_lab.adapter_check.probes import HONEST, probes_before_a_run, probes_for, probes_of
from mta_sts_lab.model import Case
from mta_sts_lab.runner.context import Outlet, RunContext
from mta_sts_lab.runner.plan import Plan, header_of
from mta_sts_lab.runner.play import play
from mta_sts_lab.runner.run import RunSetup, StartTarget, keep_log, run, running_world
from mta_sts_lab.targets.contract import TLS_RPT, NotNow, TargetError
from mta_sts_lab.timeouts import HONEST_DELIVERY, PROBE, Deadline


async def play_plan(
    plan: Plan, setup: RunSetup, start: StartTarget, outlet: Outlet, ready_seconds: float = 0.0
) -> None:
    """Play a plan's cases once the target is ready for them, or check its adapter if that is the plan.

    A target whose adapter is checked has `ready_seconds` to come up. Raises `TargetError`, and leaves no record, when
    a target does not deliver mail without an attack before its cases.
    """
    if plan.checks_adapter:
        await _check(plan, setup, start, outlet, ready_seconds)
    else:
        await run(plan, setup, start, see_that_it_is_ready, outlet)


async def see_that_it_is_ready(context: RunContext) -> None:
    """Check that a message arrives without an attack, and that the policy is fetched if that is claimed.

    Raises `TargetError`.
    """
    probes = probes_before_a_run(context.about.capabilities)
    await play(_shorter(context, HONEST_DELIVERY), probes, frozenset())
    found = why_not_ready(_view_of(context, probes))
    if found is not None:
        raise TargetError(
            f"{context.about.name} is not ready to be judged ({found.code or found.status}): {found.observed}. "
            f"{found.remedy} `sts-lab target-check` checks all of its adapter."
        )


async def _check(plan: Plan, setup: RunSetup, start: StartTarget, outlet: Outlet, ready_seconds: float) -> None:
    """Play the probes, try each part of the contract, and hand the record to the outlet."""
    async with running_world(plan, setup, outlet) as world:
        target = ObservedTarget(await start(world), world.recorder)
        try:
            about, takes_mail = await target.come_up(ready_seconds)
            checked = replace(plan, cases=probes_of(about.capabilities))
            outlet.header(header_of(checked, about, world.recorder.clock_began))
            world.recorder.listen(outlet.event)
            if takes_mail:
                async with world.context(target, about) as context:
                    await _play_probes(context, target)
                await keep_log(context.watch, target, outlet)
            world.complete = True
        finally:
            await asyncio.shield(target.close())


async def _play_probes(context: RunContext, target: ObservedTarget) -> None:
    """Play the honest probe; if its message arrived, try each hook, and play the probes that the hooks allow."""
    with contextlib.suppress(TargetError):
        await target.queue()
    await play(_shorter(context, HONEST_DELIVERY), (HONEST,), frozenset())
    message = _view_of(context, (HONEST,)).message(HONEST, HONEST.steps[0].name)
    if message is None or not message.outcome().delivered:
        return
    offered = await _offered(context)
    target.hold_flushes(context.timeouts.own_rhythm.seconds, PROBE.seconds)
    await play(_shorter(context, PROBE), probes_for(context.about.capabilities, offered), frozenset())


async def _offered(context: RunContext) -> list[str]:
    """Try each hook; return those that can be used."""
    target = context.target
    tries: dict[str, Callable[[], Awaitable[None]]] = {
        "flush": target.flush,
        "clock": lambda: target.advance(0),
        "restart": lambda: target.restart("TERM"),
    }
    if TLS_RPT not in context.about.capabilities:
        # Reports are requested later, when there is something to report.
        tries["reports"] = target.reports
    offered: list[str] = []
    for part, call in tries.items():
        with contextlib.suppress(TargetError):
            # A target that says "not now" offers it.
            with contextlib.suppress(NotNow):
                await call()
            offered.append(part)
    return offered


def _shorter(context: RunContext, limit: Deadline) -> RunContext:
    """Return a context in which no wait for a message is longer than this, apart from its retries."""
    settle = min(limit, context.timeouts.settle, key=lambda deadline: deadline.seconds)
    recover = min(limit, context.timeouts.recover, key=lambda deadline: deadline.seconds)
    return replace(context, timeouts=replace(context.timeouts, settle=settle, recover=recover))


def _view_of(context: RunContext, probes: Sequence[Case]) -> AdapterView:
    cases = ("", *(probe.id for probe in probes))
    return AdapterView(context.about, [event for case in cases for event in context.recorder.of_case(case)])
