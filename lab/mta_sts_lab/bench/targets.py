"""What the whole catalogue costs on each mail server in Docker, beside what as much mail costs without any attack.

The second figure is the mail server's own pace in the same containers: as many messages, each to an honest domain of
its own. What the run takes beyond it goes to attacks, to proofs that a message is held, and to the lab.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.backends.folder import shipped_targets
from mta_sts_lab.backends.registry import Job, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.bench.process import lab_share, timed
from mta_sts_lab.events import Event, MessageAccepted, MessageInjected
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.world import World
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan, plan_run
from mta_sts_lab.runs import load_shipped_catalogue


class BenchFailed(Exception):
    """A figure that cannot be had. The message says which, and what happened instead."""


@dataclass(frozen=True, slots=True)
class TargetCost:
    """What one target cost. Times are wall time in seconds; `lab_share` is in per cent of processor time."""

    name: str
    run: float
    lab_share: float | None
    messages: int
    plain: float


def costs(names: frozenset[str] = frozenset(), out: Path | None = None) -> Iterator[TargetCost]:
    """Measure each target that comes with the lab, or those that are named. Raises `BenchFailed`.

    The runs are kept in the folder `out`, one folder for each target, or thrown away.
    """
    for name, folder in shipped_targets().items():
        if folder.file.backend != "in_process" and (not names or name in names):
            with tempfile.TemporaryDirectory() if out is None else nullcontext(out / name) as place:
                yield _cost(folder, Path(place))


def _cost(folder: TargetFolder, out: Path) -> TargetCost:
    messages = sum(step.send for case in load_shipped_catalogue().cases.values() for step in case.steps)
    plain = plain_deliveries(folder, messages)  # first: it builds the images, which is no part of the other figure
    wall = timed(["run", "--target", folder.name, "--out", str(out)], accepted=(0, 1, 4)).wall
    return TargetCost(folder.name, wall, lab_share(out), messages, plain)


def plain_deliveries(folder: TargetFolder, messages: int) -> float:
    """Return the seconds from the first message handed over to the last one at its MX host. Raises `BenchFailed`."""
    events: list[Event] = []
    outlet = Outlet(lambda _: None, events.append, lambda _: None, lambda _, __: None)
    with tempfile.TemporaryDirectory() as directory:
        job = Job(_plain_plan(messages), folder, outlet, Path(directory))
        find_backend(folder.file.backend).play(job)
    mine = [event for event in events if event.case.startswith(_PLAIN)]
    taken = [event.at for event in mine if isinstance(event.fact, MessageInjected)]
    arrived = [event.at for event in mine if isinstance(event.fact, MessageAccepted)]
    if len(arrived) < messages:
        raise BenchFailed(f"{folder.name}: {len(arrived)} of {messages} plain messages arrived")
    return max(arrived) - min(taken)


_PLAIN = "bench/plain"


def _plain_plan(messages: int) -> Plan:
    cases = tuple(
        Case(f"{_PLAIN}[absent,{number}]", _PLAIN, Mode.ABSENT, (Step("deliver", World()),), str(number))
        for number in range(messages)
    )
    return plan_run(cases, {}, ("bench",), None)
