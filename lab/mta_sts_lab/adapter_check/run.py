"""Plays the probes: a few before every run, to check that the target is ready, and all for a check of its adapter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.adapter_check.delivery import why_not_ready
from mta_sts_lab.adapter_check.diagnosis import Diagnosis, diagnosed, held_without_a_policy
from mta_sts_lab.adapter_check.finding import AdapterView
from mta_sts_lab.adapter_check.observed import ObservedTarget
from mta_sts_lab.adapter_check.probes import HONEST, probes_before_a_run, probes_for, probes_of
from mta_sts_lab.events import TargetDiagnosed
from mta_sts_lab.model.case import Case
from mta_sts_lab.runner.context import IN_PROCESS, RunContext
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan, header_of
from mta_sts_lab.runner.play import play
from mta_sts_lab.runner.run import RunSetup, StartTarget, keep_log, run, running_world
from mta_sts_lab.targets.contract import TLS_RPT, NotNow, TargetError
from mta_sts_lab.timeouts import HONEST_ATTEMPT, HONEST_DELIVERY, NOTHING_ARRIVES, PROBE, Deadline


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What a mail server's words mean, and whether its configuration is somebody's own: then it is judged as it is."""

    diagnoses: tuple[Diagnosis, ...] = ()
    judged_as_it_is: bool = False


async def play_plan(
    plan: Plan,
    setup: RunSetup,
    start: StartTarget,
    outlet: Outlet,
    ready_seconds: float = 0.0,
    words: OwnWords = OwnWords(),
) -> None:
    """Play a plan's cases once the target is ready for them, or check its adapter if that is the plan.

    A target whose adapter is checked has `ready_seconds` to come up. Raises `TargetError`, and leaves no record, when
    a target does not deliver mail without an attack before its cases; one that is judged as it is only has to take it.
    """
    if plan.checks_adapter:
        await _check(plan, setup, start, outlet, ready_seconds)
        return

    async def ready(context: RunContext) -> RunContext:
        return await see_that_it_is_ready(context, words)

    async def conclude(context: RunContext, plan: Plan) -> None:
        if not words.judged_as_it_is:
            return
        view, log = _view_of(context, plan.cases), await _log_of(context)
        held = held_without_a_policy(view, plan.cases, words.diagnoses, log)
        if held is not None:
            one, line, count = held
            cases = f" in {count} case{'s' if count > 1 else ''}" if count else ""
            means = f"{one.means} So mail was held{cases} without a policy."
            context.recorder.write(TargetDiagnosed(code=one.code, means=means, remedy=one.remedy, quoted=line))

    await run(plan, setup, start, ready, outlet, conclude)


async def see_that_it_is_ready(context: RunContext, words: OwnWords = OwnWords()) -> RunContext:
    """Check that a message arrives without an attack, and that the policy is fetched if that is claimed.

    Writes a diagnosis where that is not so and the target is judged as it is, and raises `TargetError` otherwise.
    Returns the context for the cases: where no honest mail arrives, nothing is waited for that long.
    """
    probes = probes_before_a_run(context.about.capabilities)
    shorter = _shorter(context, HONEST_DELIVERY)
    shorter = replace(shorter, timeouts=replace(shorter.timeouts, attempt=HONEST_ATTEMPT))
    await play(shorter, probes, frozenset())
    view = _view_of(context, probes)
    found = why_not_ready(view, with_policy=words.judged_as_it_is)
    if found is None:
        return context
    found, line = diagnosed(found, view, words.diagnoses, await _log_of(context))
    says = f' It says: "{line}".' if line and line not in found.observed else ""
    if words.judged_as_it_is and view.message(HONEST, HONEST.steps[0].name) is not None:
        context.recorder.write(TargetDiagnosed(code=found.code, means=found.observed, remedy=found.remedy, quoted=line))
        honest = view.message(HONEST, HONEST.steps[0].name)
        return context if honest and honest.outcome().delivered else _without_hope(context)
    raise TargetError(
        f"{context.about.name} is not ready to be judged ({found.code or found.status}): "
        f"{found.observed.rstrip('.')}.{says} "
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


async def _log_of(context: RunContext) -> str:
    """Return what the target shows of its log; empty if it shows none."""
    with contextlib.suppress(TargetError):
        return await context.target.logs()
    return ""


def _shorter(context: RunContext, limit: Deadline) -> RunContext:
    """Return a context in which no wait for a message is longer than this, apart from its retries."""
    settle = min(limit, context.timeouts.settle, key=lambda deadline: deadline.seconds)
    recover = min(limit, context.timeouts.recover, key=lambda deadline: deadline.seconds)
    return replace(context, timeouts=replace(context.timeouts, settle=settle, recover=recover))


def _without_hope(context: RunContext) -> RunContext:
    """Return a context for a target that holds honest mail: what waits in vain there proves nothing, however long."""
    waits = dict.fromkeys(("settle", "recover", "learn_policy", "bounce", "attempt"), NOTHING_ARRIVES)
    return replace(context, timeouts=replace(context.timeouts, **waits, cases_at_once=IN_PROCESS.cases_at_once))


def _view_of(context: RunContext, probes: Sequence[Case]) -> AdapterView:
    cases = ("", *(probe.id for probe in probes))
    return AdapterView(context.about, [event for case in cases for event in context.recorder.of_case(case)])
