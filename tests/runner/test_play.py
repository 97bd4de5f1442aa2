"""Rules of the verdicts, end to end: break one thing in a run that would pass, and it no longer passes. Quickly, too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.attacks.toolkit.instructions import Steps
from mta_sts_lab.attacks.toolkit.registry import ATTACKS
from mta_sts_lab.attacks.toolkit.relays import relay_in_clear
from mta_sts_lab.attacks.toolkit.session import Session
from mta_sts_lab.attacks.toolkit.smtp import Edit
from mta_sts_lab.events import (
    AttackFired,
    CaseBegan,
    CaseEnded,
    ClockAdvanced,
    ConnectionAccepted,
    DeadlinePassed,
    Event,
    LabFailed,
    MessageAccepted,
    MessageInjected,
    QueueSeen,
    ReportsAsked,
    StepBegan,
    StepEnded,
    TargetFailed,
    TargetFlushed,
    TargetRestarted,
)
from mta_sts_lab.model.case import AttackUse
from mta_sts_lab.model.target import About
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.targets.black_box import BlackBox
from mta_sts_lab.targets.contract import Held, InjectionRefusedError, NotOffered, TargetError
from mta_sts_lab.timeouts import Deadline
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.policy_host import PolicyServer

from tests.runner.arena import IMPATIENT, QUICK, Arena, Around, cases_of, with_expectation

ENFORCE = "starttls/strip[enforce]"
TESTING = "starttls/strip[testing]"
NONE = "starttls/strip[none]"
ABSENT = "starttls/strip[absent]"
STRIP = cases_of("starttls/strip")

#: Far below the shortest deadline of a run as users make them (5 s), and far above what these take (2 s).
QUICKLY = 12.0


class TestVerdictWords:
    async def test_pass(self, tmp_path: Path) -> None:
        played = await Arena(tmp_path).play(STRIP)
        assert played.grades() == dict.fromkeys((ENFORCE, TESTING, NONE, ABSENT), "pass")
        assert [fact.attack for fact in played.facts(AttackFired, ENFORCE)] != []

    async def test_fail(self, tmp_path: Path) -> None:
        played = await Arena(tmp_path, flaws=("ignores_policy",)).play(STRIP)
        assert [played.grade(case) for case in (ENFORCE, NONE, ABSENT)] == ["fail", "pass", "pass"]
        assert played.grade(TESTING) in ("pass", "weak"), "delivery is right there; what is reported is another matter"
        assert {"delivered-clear", "read-in-clear", "envelope-in-clear"} <= played.reasons(ENFORCE)

    async def test_weak(self, tmp_path: Path) -> None:
        cases = [
            with_expectation(case, outcome=("deferred", "delivered"), should=("delivered",))
            if case.id == ENFORCE
            else case
            for case in STRIP
        ]
        played = await Arena(tmp_path).play(cases)
        assert played.grade(ENFORCE) == "weak"
        assert "allowed-but-not-advised" in played.reasons(ENFORCE)

    async def test_info(self, tmp_path: Path) -> None:
        cases = [with_expectation(case, outcome=("any",)) if case.id == ENFORCE else case for case in STRIP]
        assert (await Arena(tmp_path).play(cases)).grade(ENFORCE) == "info"

    async def test_bounced_and_lost_fail(self, tmp_path: Path) -> None:
        bounced = await Arena(tmp_path / "a", flaws=("bounces_instead_of_deferring",)).play(STRIP)
        assert bounced.grade(ENFORCE) in ("fail", "weak")
        assert any(reason.startswith("bounced-") for reason in bounced.reasons(ENFORCE))
        lost = await Arena(tmp_path / "b", flaws=("loses_message",)).play(STRIP)
        assert lost.grade(ENFORCE) == "fail"
        assert "lost" in lost.reasons(ENFORCE)
        assert lost.seconds < QUICKLY


# -- the lab breaks


def when(case: str, step: str) -> Any:
    """Return a test of events: the beginning of a step."""
    return lambda event: isinstance(event.fact, StepBegan) and (event.case, event.step) == (case, step)


async def test_the_name_server_goes_away_in_mid_run(tmp_path: Path) -> None:
    def close_dns(arena: Arena, event: Event) -> None:
        if isinstance(event.fact, StepBegan) and event.step == "attack" and not arena.tasks:
            arena.tasks.append(asyncio.ensure_future(arena.internet.dns.close()))

    played = await Arena(tmp_path, on_event=close_dns).play(STRIP)
    assert set(played.grades().values()) <= {"inconclusive", "lab-error"}, played.grades()
    assert "nothing-to-report" in played.reasons("starttls/strip[none]")
    assert played.seconds < QUICKLY


async def test_the_name_server_is_never_there(tmp_path: Path) -> None:
    def close_dns(arena: Arena, event: Event) -> None:
        if isinstance(event.fact, CaseBegan) and not arena.tasks:
            arena.tasks.append(asyncio.ensure_future(arena.internet.dns.close()))

    played = await Arena(tmp_path, on_event=close_dns).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    assert "prime-not-delivered" in played.reasons(ENFORCE)
    assert played.seconds < QUICKLY


@pytest.mark.parametrize("flaws", [(), ("sends_clear_without_starttls",)])
async def test_an_attacker_that_dies_behind_its_first_blow_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flaws: tuple[str, ...]
) -> None:
    """It takes the offer away and hangs up: nobody could have sent anything there, policy or no policy."""

    def dies(session: Session, edit: Edit, detail: str) -> Steps[None]:
        yield from session.relay_greeting()
        command = yield from session.read_command()
        assert command is not None
        yield from relay_in_clear(session, command, edit, detail)

    monkeypatch.setattr("mta_sts_lab.attacks.strip_starttls.relay_to_the_end_in_clear", dies)
    played = await Arena(tmp_path, flaws=flaws).play(STRIP)
    assert played.grade(ENFORCE) == ("fail" if flaws else "inconclusive"), (
        "what fails is the report of the flawed sender"
    )
    assert played.grade(ABSENT) == "inconclusive"
    assert "control-not-sound" in played.reasons(ENFORCE)


class Idle(AttackController):
    """An attacker who is paid and does nothing."""

    async def begin(self, world: CaseWorld, attacks: Sequence[AttackUse]) -> None:
        await self.end(world)


@pytest.mark.parametrize("flaws", [(), ("ignores_policy",), ("sends_clear_without_starttls",)])
async def test_the_attacker_is_switched_off(tmp_path: Path, flaws: tuple[str, ...]) -> None:
    played = await Arena(tmp_path, flaws=flaws, attack_controller=Idle).play(STRIP)
    for case in (ENFORCE, TESTING, NONE):
        assert {"attack-not-fired", "control-not-degraded"} <= played.reasons(case)
        assert played.grade(case) not in ("pass", "info", "weak")
    assert played.grades()[TESTING] == "inconclusive"
    assert played.seconds < QUICKLY


async def test_an_attackers_script_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(session: Any, parameters: Any) -> Any:
        raise ZeroDivisionError("a fault in the script")
        yield

    broken = replace(ATTACKS["strip_starttls"], play=stumble)
    monkeypatch.setitem(ATTACKS, "strip_starttls", broken)  # type: ignore[arg-type]
    played = await Arena(tmp_path).play(STRIP)
    assert set(played.grades().values()) == {"lab-error"}
    assert any("a fault in the script" in fact.error for fact in played.facts(LabFailed, ENFORCE))
    assert played.seconds < QUICKLY


async def test_a_policy_host_that_breaks_is_never_blamed_on_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumble(self: PolicyServer, accepted: Any, via: str) -> None:
        accepted.sock.close()
        raise RuntimeError("the policy host fell over")

    monkeypatch.setattr(PolicyServer, "_speak", stumble)
    played = await Arena(tmp_path).play(STRIP)
    assert [played.grade(case) for case in (ENFORCE, TESTING, NONE)] == ["lab-error"] * 3
    assert played.grade(ABSENT) == "pass"
    assert not played.facts(AttackFired, ENFORCE), "nothing is attacked in a world that is not whole"
    assert played.seconds < QUICKLY


async def test_an_exception_in_one_case_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stumbling(AttackController):
        async def begin(self, world: CaseWorld, attacks: Sequence[AttackUse]) -> None:
            if attacks and world.case == TESTING:
                raise RuntimeError("no path here")
            await super().begin(world, attacks)

    played = await Arena(tmp_path, attack_controller=Stumbling).play(STRIP)
    assert played.grades() == {ENFORCE: "pass", TESTING: "lab-error", NONE: "pass", ABSENT: "pass"}
    assert not played.facts(CaseEnded, TESTING)


async def test_an_exception_outside_every_case_ends_the_waiting(tmp_path: Path) -> None:
    attacked = when(ENFORCE, "attack")

    def fail(arena: Arena, event: Event) -> None:
        if attacked(event):
            arena.context.recorder.lab_failed("elsewhere", RuntimeError("the floor gave way"))

    played = await Arena(tmp_path, on_event=fail).play(STRIP)
    assert set(played.grades().values()) == {"lab-error"}
    assert played.seconds < QUICKLY


# -- the target breaks, or lies


class Sink(Around):
    """Takes mail, puts it nowhere, and says that it holds it."""

    state = "active"

    def __init__(self, inside: InProcessTarget) -> None:
        super().__init__(inside)
        self.held: list[Held] = []

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        self.held.append(Held(recipient, sender, self.state, "any minute now"))
        return "250 2.0.0 queued"

    async def queue(self) -> tuple[Held, ...]:
        return tuple(self.held)


class LyingSink(Sink):
    state = "deferred"


@pytest.mark.parametrize(("kind", "deadline"), [(Sink, "attempt"), (LyingSink, "settle")])
async def test_a_target_that_takes_mail_and_never_connects(tmp_path: Path, kind: type[Sink], deadline: str) -> None:
    played = await Arena(tmp_path, wrap=kind).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    assert "prime-not-delivered" in played.reasons(ENFORCE)
    passed = played.facts(DeadlinePassed, ENFORCE)
    assert [fact.deadline for fact in passed] == [deadline]
    assert not [event for event in played.events if event.case == ENFORCE and event.step == "attack"]
    assert played.seconds < QUICKLY


class LazyAfterTheFirst(Around):
    """Delivers the first message to a domain, and only claims to try the second."""

    def __init__(self, inside: InProcessTarget) -> None:
        super().__init__(inside)
        self.domains: set[str] = set()
        self.put_off: list[Held] = []

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        domain = recipient.rpartition("@")[2]
        if domain in self.domains:
            self.put_off.append(Held(recipient, sender, "deferred", "MTA-STS policy, of course"))
            return "250 2.0.0 queued"
        self.domains.add(domain)
        return await self.inside.inject(sender, recipient, message, options)

    async def queue(self) -> tuple[Held, ...]:
        return (*await self.inside.queue(), *self.put_off)


async def test_a_target_that_says_deferred_and_never_tried(tmp_path: Path) -> None:
    played = await Arena(tmp_path, wrap=LazyAfterTheFirst).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    assert {"no-contact", "not-settled"} <= played.reasons(ENFORCE)
    assert played.facts(TargetFlushed), "it was asked to try again"
    assert played.seconds < QUICKLY


class AtWork(Around):
    """Delivers the first message to a domain at once, and says of the second that it is at work on it."""

    def __init__(self, inside: InProcessTarget, seconds: float) -> None:
        super().__init__(inside)
        self.seconds = seconds
        self.domains: set[str] = set()
        self.at_work: dict[str, Held] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        domain = recipient.rpartition("@")[2]
        if domain not in self.domains:
            self.domains.add(domain)
            return await self.inside.inject(sender, recipient, message, options)
        self.at_work[recipient] = Held(recipient, sender, "active")
        self.tasks.append(asyncio.create_task(self._pass_on(sender, recipient, message)))
        return "250 2.0.0 queued"

    async def _pass_on(self, sender: str, recipient: str, message: bytes) -> None:
        await asyncio.sleep(self.seconds)
        await self.inside.inject(sender, recipient, message)
        del self.at_work[recipient]

    async def queue(self) -> tuple[Held, ...]:
        listed = await self.inside.queue()
        return (*listed, *self.at_work.values())

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await super().close()


async def test_a_target_that_is_at_work_is_waited_for_longer(tmp_path: Path) -> None:
    # How much longer is left open: a busy machine takes its time, too.
    longer = replace(IMPATIENT, attempt=Deadline("attempt", 20.0))
    slow = IMPATIENT.settle.seconds + 0.2
    played = await Arena(tmp_path, timeouts=longer, wrap=lambda inside: AtWork(inside, slow)).play(STRIP)
    assert [played.grade(case) for case in (TESTING, NONE, ABSENT)] == ["pass"] * 3
    assert not played.facts(DeadlinePassed, ABSENT)


async def test_a_target_that_is_at_work_for_ever_is_not(tmp_path: Path) -> None:
    played = await Arena(tmp_path, wrap=lambda inside: AtWork(inside, 600)).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    longest = IMPATIENT.settle.seconds + IMPATIENT.attempt.seconds
    assert {(fact.deadline, fact.seconds) for fact in played.facts(DeadlinePassed, ABSENT)} >= {("attempt", longest)}
    assert played.seconds < QUICKLY


class Mortal(Around):
    """Stops answering from a moment on."""

    dead = False

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        self._check()
        return await self.inside.inject(sender, recipient, message, options)

    async def queue(self) -> tuple[Held, ...]:
        self._check()
        return await self.inside.queue()

    async def flush(self) -> None:
        self._check()
        await self.inside.flush()

    def _check(self) -> None:
        if self.dead:
            raise TargetError("connection refused")


@pytest.mark.parametrize("step", ["prime", "attack", "recover"])
async def test_a_target_that_dies_in_mid_run(tmp_path: Path, step: str) -> None:
    attacked = when(ENFORCE, step)

    def kill(arena: Arena, event: Event) -> None:
        if attacked(event):
            arena.context.target.dead = True  # type: ignore[attr-defined]
            arena.tasks.append(asyncio.ensure_future(arena.target.sender.stop(gently=False)))

    began = time.monotonic()
    patient = replace(IMPATIENT, settle=Deadline("settle", 60), recover=Deadline("recover", 60))
    played = await Arena(tmp_path, wrap=Mortal, on_event=kill, timeouts=patient).play(STRIP)
    assert played.grade(ENFORCE) == "inconclusive"
    assert "target-failed" in played.reasons(ENFORCE)
    assert played.facts(TargetFailed)
    assert time.monotonic() - began < QUICKLY, "nobody waits for a target that has died"


async def test_cases_that_have_not_begun_when_the_target_dies_are_not_played(tmp_path: Path) -> None:
    def kill(arena: Arena, event: Event) -> None:
        if isinstance(event.fact, CaseEnded):
            arena.context.target.dead = True  # type: ignore[attr-defined]

    class Counting(Mortal):
        calls = 0

        async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
            Counting.calls += self.dead
            return await super().inject(sender, recipient, message, options)

    cases = cases_of("starttls/strip", "policy/cache-survives-restart", "policy/max-age-lapses")
    played = await Arena(tmp_path, wrap=Counting, on_event=kill).play(cases)
    changing = [case.id for case in cases if case.changes_target]
    assert changing
    assert {played.grade(case) for case in changing} == {"inconclusive"}
    assert Counting.calls <= len(changing)
    assert played.seconds < QUICKLY


class EmptyQueue(Around):
    """Holds mail and shows none of it: what the lab makes of a queue hook that is wrong."""

    async def queue(self) -> tuple[Held, ...]:
        await self.inside.queue()
        return ()


async def test_a_target_that_shows_an_empty_queue_and_holds_the_mail(tmp_path: Path) -> None:
    played = await Arena(tmp_path, wrap=EmptyQueue).play(STRIP)
    assert played.grade(ENFORCE) == "inconclusive", played.reasons(ENFORCE)
    assert "queue-belied" in played.reasons(ENFORCE)
    seen = [fact.state for fact in played.facts(QueueSeen, ENFORCE)]
    assert len(seen) >= 2, "once for each message, and again after each connection to a host"
    assert set(seen) == {"gone"}
    assert len(played.facts(MessageAccepted, ENFORCE)) == 2, "it arrives all the same once the attack is over"
    assert played.seconds < QUICKLY


async def test_a_target_that_refuses_the_message(tmp_path: Path) -> None:
    class Refusing(Around):
        async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
            raise InjectionRefusedError("554 5.7.1 relaying denied")

    played = await Arena(tmp_path, wrap=Refusing).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    assert "injection-refused" in played.reasons(ENFORCE)
    assert played.seconds < QUICKLY


async def test_a_target_that_never_answers_an_injection(tmp_path: Path) -> None:
    class Silent(Around):
        async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
            await asyncio.Event().wait()
            return ""

    timeouts = replace(IMPATIENT, inject=Deadline("inject", 0.2))
    played = await Arena(tmp_path, wrap=Silent, timeouts=timeouts).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    assert any("inject: no reply" in fact.what for fact in played.facts(TargetFailed, ENFORCE))
    assert played.seconds < QUICKLY


async def test_a_target_that_falls_silent_in_mid_run(tmp_path: Path) -> None:
    class Silent(Mortal):
        async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
            await self._wait_if_dead()
            return await self.inside.inject(sender, recipient, message, options)

        async def queue(self) -> tuple[Held, ...]:
            await self._wait_if_dead()
            return await self.inside.queue()

        async def _wait_if_dead(self) -> None:
            if self.dead:
                await asyncio.Event().wait()

    def silence(arena: Arena, event: Event) -> None:
        if isinstance(event.fact, StepBegan) and event.step == "attack":
            arena.context.target.dead = True  # type: ignore[attr-defined]

    patient = replace(IMPATIENT, settle=Deadline("settle", 60), inject=Deadline("inject", 60))
    played = await Arena(tmp_path, wrap=Silent, on_event=silence, timeouts=patient).play(STRIP)
    assert set(played.grades().values()) == {"inconclusive"}
    assert [fact.what for fact in played.facts(TargetFailed, "")] == [
        "the target's queue cannot be seen: queue-look: no answer within 0.5 s"
    ]
    assert played.seconds < QUICKLY


# -- a target that offers less


#: Two attempts of a sender whose queue is not shown count as two when they lie five seconds apart. Here a second of the
#: record takes a twentieth of one.
FASTER = 20.0


def fast_clock() -> float:
    return time.monotonic() * FASTER


OWN_RETRY = replace(QUICK, retry_seconds=0.4, longest_retry_seconds=0.4)


def tries_again_by_itself(about: About) -> About:
    """Return what it says, without its claim to send reports: nobody asks a black box for any, and that is a note."""
    return replace(about, retry_seconds=0.4, set_aside=())


@pytest.mark.parametrize(("flaws", "expected"), [((), "pass"), (("ignores_policy",), "fail")])
async def test_a_black_box_gets_the_same_verdict_only_later(
    tmp_path: Path, flaws: tuple[str, ...], expected: str
) -> None:
    arena = Arena(
        tmp_path, flaws=flaws, wrap=BlackBox, clock=fast_clock, settings=OWN_RETRY, about=tries_again_by_itself
    )
    played = await arena.play(STRIP)
    assert played.grade(ENFORCE) == expected, played.verdicts[ENFORCE]
    assert [played.grade(case) for case in (NONE, ABSENT)] == ["pass", "pass"]
    assert not played.facts(QueueSeen)
    assert not played.facts(TargetFlushed)
    assert not played.facts(DeadlinePassed, ENFORCE), "the wait ends with the proof, not with its deadline"
    assert played.seconds < QUICKLY


async def test_a_black_box_that_tries_too_seldom_is_inconclusive(tmp_path: Path) -> None:
    seldom = replace(QUICK, retry_seconds=600, longest_retry_seconds=600)
    played = await Arena(tmp_path, wrap=BlackBox, clock=fast_clock, settings=seldom).play(STRIP)
    assert played.grade(ENFORCE) == "inconclusive"
    assert "not-settled" in played.reasons(ENFORCE)
    assert played.seconds < QUICKLY


async def test_a_slow_black_box_is_waited_for_as_long_as_it_says(tmp_path: Path) -> None:
    """Its pauses double, and the third attempt alone comes later than `settle` would allow for."""
    doubling = replace(QUICK, retry_seconds=0.35, longest_retry_seconds=1.4)
    arena = Arena(
        tmp_path,
        wrap=BlackBox,
        clock=fast_clock,
        settings=doubling,
        timeouts=replace(IMPATIENT, longest_retry=Deadline("longest-retry", 2.0)),
        about=lambda about: replace(about, own_retry_seconds=0.7, set_aside=()),
    )
    played = await arena.play(STRIP)
    assert played.grade(ENFORCE) == "pass", played.verdicts[ENFORCE]
    waited = [event.at for event in played.events if event.case == ENFORCE and event.step == "attack"]
    assert (waited[-1] - waited[0]) / FASTER > IMPATIENT.settle.seconds
    assert not played.facts(DeadlinePassed, ENFORCE)


async def test_a_queue_without_a_flush_waits_for_the_targets_own_retry(tmp_path: Path) -> None:
    class NoFlush(Around):
        async def flush(self) -> None:
            raise NotOffered("no flush here")

    arena = Arena(tmp_path, wrap=NoFlush, settings=OWN_RETRY, about=tries_again_by_itself)
    played = await arena.play(STRIP)
    assert played.grades() == dict.fromkeys((ENFORCE, TESTING, NONE, ABSENT), "pass")
    assert not played.facts(TargetFlushed)


def test_time_for_retries_is_given_and_bounded() -> None:
    settle = Deadline("settle", 60)
    timeouts = replace(IMPATIENT, longest_retry=Deadline("longest-retry", 1800))

    def limit(retry: float, own: float, flushes: bool) -> Deadline:
        return timeouts.with_retries(settle, About("x", retry_seconds=retry, own_retry_seconds=own), flushes)

    assert limit(0, 0, flushes=True).seconds == 60
    assert limit(300, 0, flushes=True).seconds == 360
    assert limit(300, 0, flushes=False).seconds == 60 + 4 * 300
    assert limit(2, 300, flushes=True).seconds == 62, "its own pace counts only where nobody can hasten it"
    assert limit(2, 300, flushes=False).seconds == 60 + 4 * 300
    assert limit(1e9, 0, flushes=True).seconds == 60 + 1800
    assert limit(0, 1e9, flushes=False).seconds == 60 + 4 * 1800
    assert limit(-5, -5, flushes=False).seconds == 60
    assert limit(5, 0, flushes=True).name == "settle"


class TestReports:
    async def test_they_are_asked_for_once_and_judged(self, tmp_path: Path) -> None:
        played = await Arena(tmp_path).play(STRIP)
        assert len(played.facts(ReportsAsked)) == 1

    async def test_who_cannot_be_asked_has_not_failed_to_report(self, tmp_path: Path) -> None:
        class Unasked(Around):
            async def reports(self) -> None:
                raise NotOffered("no reports here")

        played = await Arena(tmp_path, wrap=Unasked).play(STRIP)
        owing = {case.id for case in STRIP if case.judges_reports}
        assert owing
        assert {played.grade(case) for case in owing} <= {"inconclusive", "fail"}
        assert {played.grade(case) for case in played.verdicts if case not in owing} == {"pass"}


# -- cases that change the target


async def test_the_queue_is_not_looked_at_while_the_target_restarts(tmp_path: Path) -> None:
    class SlowToRestart(Around):
        down = False

        async def restart(self, signal: str) -> None:
            self.down = True
            await asyncio.sleep(0.2)  # what a real one takes; the watch looks every 20 ms
            await self.inside.restart(signal)
            self.down = False

        async def queue(self) -> tuple[Held, ...]:
            if self.down:
                raise TargetError("the mail system is down")
            return await self.inside.queue()

    cases = cases_of("policy/cache-survives-restart")
    played = await Arena(tmp_path, wrap=SlowToRestart).play(cases)
    assert set(played.grades().values()) == {"pass"}, played.facts(TargetFailed)


async def test_a_message_that_leaves_before_the_target_says_that_its_clock_was_moved(tmp_path: Path) -> None:
    class AnswersLate(Around):
        async def advance(self, seconds: int) -> None:
            await self.inside.advance(seconds)
            await self.inside.flush()
            while any(held.state != "gone" for held in await self.inside.queue()):
                await asyncio.sleep(0.02)

    played = await Arena(tmp_path, wrap=AnswersLate).play(cases_of("policy/max-age-lapses"))
    assert set(played.grades().values()) == {"pass"}, played.grades()
    (moved,) = (event for event in played.events if isinstance(event.fact, ClockAdvanced))
    asked = moved.fact.asked if isinstance(moved.fact, ClockAdvanced) else None
    assert asked is not None
    taken = [event.at for event in played.events if isinstance(event.fact, MessageAccepted)]
    assert [at for at in taken if asked < at < moved.at] != []


@pytest.mark.parametrize("flaws", [(), ("forgets_cache_at_restart",)])
async def test_a_restart_that_is_only_said_to_be_one_proves_nothing(tmp_path: Path, flaws: tuple[str, ...]) -> None:
    class SaysSo(Around):
        async def restart(self, signal: str) -> None:
            assert signal == "KILL"

    cases = cases_of("policy/cache-survives-restart")
    played = await Arena(tmp_path, wrap=SaysSo, flaws=flaws).play(cases)
    assert set(played.grades().values()) == {"inconclusive"}
    assert all("restart-not-done" in played.reasons(case.id) for case in cases)
    assert [fact.outlived for fact in played.facts(TargetRestarted)] == [True]


async def test_a_restart_that_is_one_ends_the_session_that_watches_it(tmp_path: Path) -> None:
    played = await Arena(tmp_path).play(cases_of("policy/cache-survives-restart"))
    assert set(played.grades().values()) == {"pass"}
    assert [fact.outlived for fact in played.facts(TargetRestarted)] == [False]


@pytest.mark.parametrize("name", ["restart", "advance"])
async def test_a_change_that_fails_ends_all_arms_of_its_scenario(tmp_path: Path, name: str) -> None:
    class Stubborn(Around):
        async def restart(self, signal: str) -> None:
            raise TargetError("will not restart")

        async def advance(self, seconds: int) -> None:
            raise TargetError("will not move its clock")

    pattern = {"restart": "policy/cache-survives-restart", "advance": "policy/max-age-lapses"}[name]
    cases = cases_of(pattern)
    played = await Arena(tmp_path, wrap=Stubborn).play(cases)
    assert set(played.grades().values()) == {"inconclusive"}
    assert played.seconds < QUICKLY


@pytest.mark.parametrize("name", ["restart", "advance"])
async def test_what_is_not_offered_is_not_offered_in_any_case(tmp_path: Path, name: str) -> None:
    class Fixed(Around):
        async def restart(self, signal: str) -> None:
            raise NotOffered("no restart here")

        async def advance(self, seconds: int) -> None:
            raise NotOffered("no clock here")

    pattern = {"restart": "policy/cache-survives-restart", "advance": "policy/max-age-lapses"}[name]
    played = await Arena(tmp_path, wrap=Fixed).play(cases_of(pattern))
    assert len(played.verdicts) > 1
    assert set(played.grades().values()) == {"unsupported"}, played.facts(TargetFailed)
    assert played.facts(TargetFailed) == []


async def test_an_arm_that_breaks_off_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    class Stumbling(AttackController):
        async def begin(self, world: CaseWorld, attacks: Sequence[AttackUse]) -> None:
            if world.case.endswith("[absent]"):
                raise RuntimeError("no path here")
            await super().begin(world, attacks)

    cases = cases_of("policy/cache-survives-restart")
    played = await Arena(tmp_path, attack_controller=Stumbling).play(cases)
    assert set(played.grades().values()) <= {"inconclusive", "lab-error"}
    assert played.seconds < QUICKLY


async def test_an_attack_on_answers_waits_until_the_old_ones_are_forgotten(tmp_path: Path) -> None:
    cases = cases_of("mx/forged-mx[absent]", "starttls/strip[absent]")
    slow = await Arena(tmp_path, about=lambda about: replace(about, dns_memory_seconds=0.4)).play(cases)
    pauses = {}
    for case in cases:
        ended = next(event.at for event in slow.events if event.case == case.id and isinstance(event.fact, StepEnded))
        began = [event.at for event in slow.events if event.case == case.id and isinstance(event.fact, StepBegan)]
        pauses[case.id] = began[1] - ended
    assert pauses["mx/forged-mx[absent]"] > 0.4
    assert pauses["starttls/strip[absent]"] < 0.4
    assert set(slow.grades().values()) == {"pass"}


async def test_every_message_has_a_canary_of_its_own(tmp_path: Path) -> None:
    played = await Arena(tmp_path).play(STRIP)
    tokens = [fact.token for fact in played.facts(MessageInjected)]
    assert len(tokens) == len(set(tokens)) == 8


async def test_other_tlsa_records_are_waited_for_until_the_old_ones_are_forgotten(tmp_path: Path) -> None:
    cases = cases_of("dane/ee-mismatch[dane,self-signed]")
    slow = await Arena(tmp_path, about=lambda about: replace(about, dns_memory_seconds=0.4)).play(cases)
    began = {event.step: event.at for event in slow.events if isinstance(event.fact, StepBegan)}
    ended = {event.step: event.at for event in slow.events if isinstance(event.fact, StepEnded)}
    assert began["attack"] - ended["prime"] >= 0.4
    assert began["recover"] - ended["attack"] >= 0.4


async def test_what_is_done_before_a_step_belongs_to_the_world_that_was_met(tmp_path: Path) -> None:
    """A held message that is tried while the lab waits for the next step still meets the hosts of the step before."""

    def flush(arena: Arena, event: Event) -> None:
        if isinstance(event.fact, StepEnded) and event.step == "attack":
            arena.tasks.append(asyncio.ensure_future(arena.context.target.flush()))

    cases = cases_of("dane/ee-mismatch[dane,self-signed]")
    slow = await Arena(tmp_path, about=lambda about: replace(about, dns_memory_seconds=0.4), on_event=flush).play(cases)
    began = next(event.at for event in slow.events if isinstance(event.fact, StepBegan) and event.step == "recover")
    ended = next(event.at for event in slow.events if isinstance(event.fact, StepEnded) and event.step == "attack")
    between = [event for event in slow.events if event.case and ended < event.at < began]
    assert [event for event in between if isinstance(event.fact, ConnectionAccepted)]
    assert {event.step for event in between} == {"attack"}
