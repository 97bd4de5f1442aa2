"""Cases of the real catalogue, played by the real runner on a real world in process, with whatever is broken on purpose."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import Catalogue, load_catalogue
from mta_sts_lab.events import AnyFact, Event
from mta_sts_lab.judge import judge
from mta_sts_lab.model import About, Case, Verdict
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Record, Recorder
from mta_sts_lab.reference.flaws import FLAWS, parse_flaws
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner.play import play
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.runner.run_context import RunContext
from mta_sts_lab.runner.run_timeouts import Timeouts
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.contract import Held, MailSession, Target, TargetError
from mta_sts_lab.timeouts import OWN_RHYTHM_IN_PROCESS, Deadline
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork
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
)

#: The reference sender, quick to give up on hosts that do not answer.
QUICK = Settings(connect_seconds=1.0, command_seconds=1.0, fetch_seconds=1.0, lookup_seconds=0.2)


def shelf() -> Catalogue:
    """Return the shipped scenarios."""
    return load_catalogue(shipped_files() / "scenarios", ATTACK_FORMS, REQUIREMENTS, FLAWS)


def cases_of(*patterns: str) -> list[Case]:
    """Return cases of the catalogue, with the arms that they need."""
    catalogue = shelf()
    chosen = {case.id: case for case in catalogue.find(patterns)}
    return list(chosen.values()) + [
        catalogue.cases[case.control] for case in chosen.values() if case.control and case.control not in chosen
    ]


class Around:
    """A target around another one: what a test does not change is passed on."""

    def __init__(self, inside: Target) -> None:
        self.inside = inside

    async def about(self) -> About:
        return await self.inside.about()

    async def inject(self, sender: str, recipient: str, message: bytes) -> str:
        return await self.inside.inject(sender, recipient, message)

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
    """One run. `on_event` sees every event, and the arena, while it happens."""

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
    stage: RunContext = field(init=False)
    #: What `on_event` began: it must not outlive the run.
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def play(self, cases: Sequence[Case], supporting: Iterable[str] = ()) -> Played:
        """Play some cases and judge them."""
        recorder = Recorder(self.clock)
        network = LoopbackNetwork()
        before = asyncio.all_tasks()
        self.internet = await Internet.open(network, AUTHORITY, recorder, seed=7)
        self.target = InProcessTarget(
            network=network,
            dns=self.internet.dns_address,
            ca_pem=AUTHORITY.certificate_pem.decode(),
            directory=self.directory,
            flaws=parse_flaws(self.flaws),
            settings=self.settings,
            on_error=recorder.lab_failed,
        )
        await self.target.start()
        target = self.wrap(self.target)
        about = self.about(await target.about())
        attack_controller = self.attack_controller(recorder, AUTHORITY)
        watch = QueueWatch(target, recorder, self.timeouts.queue_poll, self.timeouts.queue_look)
        self.stage = RunContext(
            target, about, self.internet, attack_controller, recorder, watch, self.timeouts, random.Random("canaries")
        )
        events: list[Event] = []
        recorder.listen(events.append)
        recorder.listen(lambda event: self.on_event(self, event))
        began = time.monotonic()
        try:
            await play(self.stage, cases, frozenset(supporting))
            seconds = time.monotonic() - began
        finally:
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await attack_controller.close()
            await target.close()
            await self.internet.close()
        left = asyncio.all_tasks() - before
        assert not left, f"a task outlived the run: {left}"
        return Played({v.case: v for v in judge(_record(cases, about, events), REQUIREMENTS)}, events, seconds)


def _record(cases: Sequence[Case], about: About, events: list[Event]) -> Record:
    header = Header(
        record=RECORD_VERSION,
        run="arena",
        started="2026-01-01T00:00:00+00:00",
        command=(),
        versions={},
        seed=7,
        cases=tuple(cases),
        about=about,
    )
    kinds = Counter(type(event.fact).__name__ for event in events)
    return Record(header, tuple(events), Footer(RECORD_VERSION, len(events), True, dict(kinds)))


def with_expectation(case: Case, **changes: Any) -> Case:
    """Return a case whose judged step expects something else."""
    steps = tuple(replace(step, expect=replace(step.expect, **changes)) if step.expect else step for step in case.steps)
    return replace(case, steps=steps)


__all__ = [
    "IMPATIENT",
    "QUICK",
    "Arena",
    "Around",
    "Played",
    "TargetError",
    "cases_of",
    "shelf",
    "with_expectation",
]
