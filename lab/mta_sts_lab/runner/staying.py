"""Leaves the world of a case up, so that people can enter it with programs of their own."""

from __future__ import annotations

import asyncio

from mta_sts_lab.events import WorldUp
from mta_sts_lab.model.case import Case
from mta_sts_lab.runner.context import RunContext
from mta_sts_lab.world.case_world import CaseWorld

_SMTP = 25


def attacked_step(case: Case) -> int:
    """Return the number of the first step with an attack; of the last one if there is none."""
    return next((number for number, step in enumerate(case.steps) if step.attacks), len(case.steps) - 1)


async def bring_up(context: RunContext, case: Case) -> None:
    """Build the world of a case as it is in its first step with an attack, and put the attack in force."""
    step = case.steps[attacked_step(case)]
    world = await context.internet.add_case(case)
    context.recorder.enter_step(case.id, step.name)
    await world.arrange(step.world)
    await context.attack_controller.begin(world, step.attacks)
    _tell(context, case, world, tuple(attack.name for attack in step.attacks))


def tell_worlds(context: RunContext, cases: tuple[Case, ...]) -> None:
    """Put on record that the worlds of some cases that were played are still up."""
    for case in cases:
        world = context.internet.world_of(case.id)
        if world is not None:
            _tell(context, case, world, ())


def _place(address: str) -> str:
    return f"[{address}]:{_SMTP}" if ":" in address else f"{address}:{_SMTP}"


async def stay() -> None:
    """Wait until this is cancelled."""
    await asyncio.Event().wait()


def _tell(context: RunContext, case: Case, world: CaseWorld, attacks: tuple[str, ...]) -> None:
    policy = f"https://{world.policy_server.name}/.well-known/mta-sts.txt" if case.mode.has_policy else ""
    context.recorder.write(
        WorldUp(
            domain=world.domain,
            name_server=context.internet.dns_address,
            mx=tuple(f"{host.name} at {' and '.join(map(_place, host.addresses))}" for host in world.mx),
            policy=policy,
            attacks=attacks,
        ),
        case.id,
    )
