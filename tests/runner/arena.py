"""Cases of the real catalogue, played by the real runner on a real world in process, with whatever is broken on purpose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.events import AnyFact, Event
from mta_sts_lab.judge import judge
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.target import About
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Footer, Header, Record, Recorder
from mta_sts_lab.reference.flaws import parse_flaws
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner import run as run_module
from mta_sts_lab.runner.context import RunContext, Timeouts
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan
from mta_sts_lab.runner.run import RunningWorld, RunSetup, run
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.targets.contract import Held, MailSession, Target, TargetError
from mta_sts_lab.timeouts import OWN_RHYTHM_IN_PROCESS, Deadline
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.pki import Authority

AUTHORITY = Authority.create()
REQUIREMENTS = load_requirements()

#: Short, for worlds in which what is waited for never comes.
IMPATIENT = Timeouts(
    cases_at_once=20,
    queue_poll=Deadline("queue-poll", 0.02),
    learn_policy=Deadline("learn-policy", 0.3),
    settle=Deadline("settle", 0.9),
    recover=Deadline("recover", 0.9),
    hand_over=Deadline("hand-over", 1.0),
    bounce=Deadline("bounce", 0.3),
    inject=Deadline("inject", 2.0),
    attempt=Deadline("attempt", 0.6),
    longest_retry=Deadline("longest-retry", 0.5),
    queue_look=Deadline("queue-look", 0.5),
    own_rhythm=OWN_RHYTHM_IN_PROCESS,
    next_policy=Deadline("next-policy", 0),
)

#: The reference sender, quick to give up on hosts that do not answer.
QUICK = Settings(connect_seconds=1.0, command_seconds=1.0, fetch_seconds=1.0, lookup_seconds=0.2)


CATALOGUE = load_shipped_catalogue()


def cases_of(*patterns: str) -> list[Case]:
    """Return cases of the catalogue, with the control cases that they need."""
    chosen = {case.id: case for case in CATALOGUE.find(patterns)}
    return list(chosen.values()) + [
        CATALOGUE.cases[case.control] for case in chosen.values() if case.control and case.control not in chosen
    ]


class Around:
    """A target around another one: what a test does not change is passed on."""

    def __init__(self, inside: Target) -> None:
        self.inside = inside

    async def about(self) -> About:
        return await self.inside.about()

    async def greet(self) -> None:
        await self.inside.greet()

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        return await self.inside.inject(sender, recipient, message, options)

    async def open_session(self) -> MailSession:
        return await self.inside.open_session()

    async def queue(self) -> tuple[Held, ...]:
        return await self.inside.queue()

    async def flush(self) -> None:
        await self.inside.flush()

    async def restart(self, signal: str) -> None:
        await self.inside.restart(signal)

    async def advance(self, seconds: int) -> None:
        await self.inside.advance(seconds)

    async def reports(self) -> None:
        await self.inside.reports()

    async def logs(self) -> str:
        return await self.inside.logs()

    def ended(self) -> str:
        return self.inside.ended()

    async def close(self) -> None:
        await self.inside.close()


@dataclass
class Played:
    """What came of it."""

    verdicts: dict[str, Verdict]
    events: list[Event]
    seconds: float

    def grades(self) -> dict[str, str]:
        return {name: verdict.grade.value for name, verdict in self.verdicts.items()}

    def grade(self, case: str) -> str:
        return self.verdicts[case].grade.value

    def reasons(self, case: str) -> set[str]:
        return {item.reason for item in self.verdicts[case].judgements if item.grade.value != "pass"}

    def facts(self, kind: type[AnyFact], case: str | None = None) -> list[Any]:
        return [event.fact for event in self.events if isinstance(event.fact, kind) and case in (None, event.case)]


@dataclass
class Arena:
    """One run, without the probes that come before others. `on_event` sees every event, and the arena, as it happens."""

    directory: Path
    flaws: tuple[str, ...] = ()
    settings: Settings = QUICK
    timeouts: Timeouts = IMPATIENT
    clock: Callable[[], float] = time.monotonic
    wrap: Callable[[InProcessTarget], Target] = lambda target: target
    attack_controller: Callable[[Recorder, Authority], AttackController] = AttackController
    about: Callable[[About], About] = lambda about: about
    on_event: Callable[[Arena, Event], None] = lambda arena, event: None
    internet: Internet = field(init=False)
    target: InProcessTarget = field(init=False)
    context: RunContext = field(init=False)
    #: What `on_event` began: it must not outlive the run.
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _began: float = 0.0

    async def play(self, cases: Sequence[Case], control_only: Iterable[str] = ()) -> Played:
        """Play some cases and judge them."""
        before = asyncio.all_tasks()
        kept = Kept()
        plan = Plan("arena", "2026-01-01T00:00:00+00:00", (), 7, tuple(cases), frozenset(control_only))
        setup = RunSetup(authority=AUTHORITY, timeouts=self.timeouts)
        with (
            mock.patch.object(run_module, "Recorder", partial(Recorder, self.clock)),
            mock.patch.object(run_module, "AttackController", self.attack_controller),
        ):
            await run(plan, setup, self._start, self._ready, kept.outlet())
        seconds = time.monotonic() - self._began
        left = asyncio.all_tasks() - before
        assert not left, f"a task outlived the run: {left}"
        return Played({v.case: v for v in judge(kept.record(), REQUIREMENTS)}, kept.events, seconds)

    async def _start(self, world: RunningWorld) -> Target:
        self.internet = world.internet
        self.target = InProcessTarget(
            network=world.network,
            dns=world.dns_address,
            ca_pem=world.ca_pem.decode(),
            directory=self.directory,
            flaws=parse_flaws(self.flaws),
            settings=self.settings,
            on_error=world.recorder.lab_failed,
        )
        await self.target.start()
        return _Ending(self.wrap(self.target), self.about, self.tasks)

    async def _ready(self, context: RunContext) -> RunContext:
        assert isinstance(context.target, _Ending)
        self.context = replace(context, target=context.target.inside)
        context.recorder.listen(lambda event: self.on_event(self, event))
        self._began = time.monotonic()
        return context


class _Ending(Around):
    """The arena's target: it says of itself what the test wants, and waits at its end for what the test began."""

    def __init__(self, inside: Target, change: Callable[[About], About], tasks: list[asyncio.Task[Any]]) -> None:
        super().__init__(inside)
        self._change = change
        self._tasks = tasks

    async def about(self) -> About:
        return self._change(await self.inside.about())

    async def close(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.inside.close()


@dataclass
class Kept:
    """An outlet that keeps everything."""

    headers: list[Header] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    footers: list[Footer] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    def outlet(self) -> Outlet:
        return Outlet(self.headers.append, self._event, self.footers.append, self.files.__setitem__)

    def record(self) -> Record:
        return Record(self.headers[0], tuple(self.events), self.footers[0])

    def _event(self, event: Event) -> None:
        self.events.append(event)
        self.began.set()


def with_expectation(case: Case, **changes: Any) -> Case:
    """Return a case whose judged step expects something else."""
    steps = tuple(replace(step, expect=replace(step.expect, **changes)) if step.expect else step for step in case.steps)
    return replace(case, steps=steps)


__all__ = [
    "CATALOGUE",
    "IMPATIENT",
    "QUICK",
    "Arena",
    "Around",
    "Kept",
    "Played",
    "TargetError",
    "cases_of",
    "with_expectation",
]
