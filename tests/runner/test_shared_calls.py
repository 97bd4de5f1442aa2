"""One call for everybody: when all who still play wait for it, and not before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from unittest import mock

import pytest
from mta_sts_lab.events import ClockAdvanced, LabFailed, ReportsAsked, ReportsLeft, TargetFailed
from mta_sts_lab.model.case import Case, Expectation, Mode, Step
from mta_sts_lab.model.target import About
from mta_sts_lab.model.world import World
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.pacing import Gate
from mta_sts_lab.runner.shared_calls import ReportCall, TargetChange, cases_by_change, end_day_near_midnight
from mta_sts_lab.targets.contract import NotOffered, TargetError

BY_DAYS = About("postfix", reports_end_the_day=True)


class Reporter:
    """A target of which only the reports matter."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.calls = 0
        self.trouble = trouble

    async def reports(self) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble


async def _sees_nothing() -> None:
    """A look at hosts that are in order."""


def case(name: str, *, asks: bool = False, expects: bool = True) -> Case:
    expect = Expectation(("deferred",), "STS-5-03", report=("success",)) if expects else None
    return Case(name, "a/b", Mode.ENFORCE, (Step("attack", World(), expect=expect, reports=asks),))


def call_for(target: Reporter, recorder: Recorder, *cases: Case, claimed: bool = True) -> ReportCall:
    return ReportCall(target, recorder, _sees_nothing, cases, claimed)  # type: ignore[arg-type]


def kinds(recorder: Recorder, case_id: str = "") -> list[str]:
    return [type(event.fact).__name__ for event in recorder.of_case(case_id)]


async def test_who_waits_is_served_when_the_last_other_one_has_ended() -> None:
    target, recorder, gate = Reporter(), Recorder(), Gate(2)
    call = call_for(target, recorder, case("a", asks=True), case("b"))
    await gate.acquire()
    waiting = asyncio.create_task(call.wait("a", gate))
    await asyncio.sleep(0)
    assert target.calls == 0
    assert gate.inside == 0, "who waits leaves its turn to others"
    call.leave("b")
    await waiting
    assert (target.calls, kinds(recorder)) == (1, [ReportsAsked.__name__, ReportsLeft.__name__])
    call.leave("a")
    await call.finish()
    assert target.calls == 1, "what the first call brought is not asked for again"


async def test_two_that_wait_share_a_call_and_the_next_one_too() -> None:
    target, recorder, gate = Reporter(), Recorder(), Gate(5)
    call = call_for(target, recorder, case("a", asks=True), case("b", asks=True))
    for _ in range(2):
        await gate.acquire()
        await gate.acquire()
        await asyncio.gather(call.wait("a", gate), call.wait("b", gate))
        gate.release()
        gate.release()
    assert target.calls == 2


@pytest.mark.parametrize(("expects", "claimed", "calls"), [(True, True, 1), (False, True, 0), (True, False, 0)])
async def test_at_the_end_it_is_asked_for_what_is_owed(expects: bool, claimed: bool, calls: int) -> None:
    target, recorder = Reporter(), Recorder()
    call = call_for(target, recorder, case("a", expects=expects), claimed=claimed)
    call.leave("a")
    await call.finish()
    assert target.calls == calls


async def test_nobody_waits_for_a_target_that_does_not_claim_reports() -> None:
    target, gate = Reporter(), Gate(1)
    await call_for(target, Recorder(), case("a", asks=True), case("b"), claimed=False).wait("a", gate)
    assert target.calls == 0


@pytest.mark.parametrize(
    ("trouble", "kind", "of"), [(NotOffered("no"), TargetFailed, "a"), (ZeroDivisionError("x"), LabFailed, "")]
)
async def test_trouble_is_on_record_and_nobody_waits_for_ever(trouble: Exception, kind: type, of: str) -> None:
    target, recorder, gate = Reporter(trouble), Recorder(), Gate(1)
    call = call_for(target, recorder, case("a", asks=True))
    await gate.acquire()
    async with asyncio.timeout(5):
        await call.wait("a", gate)
    assert kind.__name__ in kinds(recorder, of)
    assert ReportsLeft.__name__ not in kinds(recorder)


@pytest.mark.parametrize(
    ("now", "about", "expects", "calls"),
    [
        pytest.param(86400.0 * 20000 - 60, BY_DAYS, True, 1, id="a minute before midnight"),
        pytest.param(86400.0 * 20000 - 1799, BY_DAYS, True, 1, id="half an hour before midnight"),
        pytest.param(86400.0 * 20000 - 1801, BY_DAYS, True, 0, id="earlier"),
        pytest.param(86400.0 * 20000 + 1, BY_DAYS, True, 0, id="a second after midnight"),
        pytest.param(86400.0 * 20000 - 60, BY_DAYS, False, 0, id="no case is about reports"),
        pytest.param(86400.0 * 20000 - 60, About("other"), True, 0, id="a reporter without a calendar"),
    ],
)
async def test_a_day_that_would_end_during_the_run_is_ended_before_it(
    now: float, about: About, expects: bool, calls: int
) -> None:
    target, recorder = Reporter(), Recorder()
    await end_day_near_midnight(target, about, recorder, _sees_nothing, [case("a", expects=expects)], now)  # type: ignore[arg-type]
    assert target.calls == calls
    assert kinds(recorder) == [ReportsAsked.__name__, ReportsLeft.__name__] * calls


class Clock:
    """A target of which only the clock and the reports matter."""

    def __init__(self) -> None:
        self.now = 0
        self.days = 0
        self.broken = False

    async def advance(self, seconds: int) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise TargetError("no clock")
        self.now += seconds

    async def reports(self) -> None:
        self.days += 1


class Watch:
    """A queue that nobody looks into."""

    @contextlib.asynccontextmanager
    async def set_aside(self) -> AsyncIterator[None]:
        yield


def later(seconds: int) -> Step:
    return Step("attack", World(), advance=seconds)


def change_for(clock: Clock, recorder: Recorder, *cases: str) -> TargetChange:
    return TargetChange(clock, Watch(), recorder, _sees_nothing, cases)  # type: ignore[arg-type]


async def test_an_advance_serves_every_case_that_waits_for_at_least_that_much_and_none_sees_more() -> None:
    clock, recorder = Clock(), Recorder()
    waits = {"a": (90_000, 5_000), "b": (3_600,), "c": (39_600,), "d": (90_000,)}
    change = change_for(clock, recorder, *waits)
    seen: dict[str, list[int]] = {name: [] for name in waits}

    async def play(name: str) -> None:
        for seconds in waits[name]:
            before = clock.now
            await change.make(name, later(seconds))
            assert clock.now - before == seconds
            seen[name].append(clock.now)
            await asyncio.sleep(0.01)
            assert clock.now - before == seconds, "the clock stands still while a case plays"
        change.leave(name)

    await asyncio.gather(*(play(name) for name in waits))
    assert seen == {"a": [90_000, 95_000], "b": [3_600], "c": [39_600], "d": [90_000]}
    facts = [event.fact for event in recorder.of_case("")]
    assert [fact.seconds for fact in facts if isinstance(fact, ClockAdvanced)] == [3_600, 36_000, 50_400, 5_000]


async def test_nobody_waits_for_a_case_that_has_ended() -> None:
    clock = Clock()
    change = change_for(clock, Recorder(), "a", "b")
    waiting = asyncio.create_task(change.make("a", later(60)))
    await asyncio.sleep(0.01)
    assert clock.now == 0
    change.leave("b")
    async with asyncio.timeout(5):
        await waiting
    assert clock.now == 60


@pytest.mark.parametrize(
    "trouble", [NotOffered("no clock"), TargetError("no clock")], ids=lambda one: type(one).__name__
)
async def test_a_change_that_fails_is_raised_in_every_case_and_not_made_again(trouble: TargetError) -> None:
    """One that was broken off may have been made: mail that leaves then may leave because of it, and is no leak."""
    clock, recorder = Clock(), Recorder()
    change = change_for(clock, recorder, "a", "b")
    with mock.patch.object(clock, "advance", side_effect=trouble):
        async with asyncio.timeout(5):
            found = await asyncio.gather(
                change.make("a", later(60)), change.make("b", later(7_200)), return_exceptions=True
            )
    assert [str(error) for error in found] == ["no clock", "no clock"]
    perhaps = [event.fact for event in recorder.of_case("") if isinstance(event.fact, ClockAdvanced)]
    assert [(fact.seconds, fact.asked is not None) for fact in perhaps] == (
        [] if isinstance(trouble, NotOffered) else [(60, True)]
    )


async def test_the_reports_are_asked_for_once_for_all_that_wait() -> None:
    clock, recorder = Clock(), Recorder()
    change = change_for(clock, recorder, "a", "b")
    async with asyncio.timeout(5):
        await asyncio.gather(change.reports("a"), change.reports("b"))
    assert (clock.days, kinds(recorder)) == (1, [ReportsAsked.__name__, ReportsLeft.__name__])


async def test_a_change_under_way_can_be_abandoned() -> None:
    clock = Clock()
    change = change_for(clock, Recorder(), "a")
    waiting = asyncio.create_task(change.make("a", later(60)))
    await asyncio.sleep(0)
    await change.abandon()
    assert clock.now == 0
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_cases_that_only_wait_for_the_clock_are_together_and_all_others_with_their_own_scenario() -> None:
    def changing(scenario: str, mode: Mode, *steps: Step) -> Case:
        return Case(f"{scenario}[{mode.value}]", scenario, mode, steps)

    modes = (Mode.ENFORCE, Mode.ABSENT)
    cases = [changing(f"clock/{number}", mode, later(60 * number)) for number in (1, 2) for mode in modes]
    restarted = [changing("restart/a", mode, Step("attack", World(), restart="KILL")) for mode in modes]
    reported = [changing("reports/a", mode, Step("again", World(), advance=60, reports=True)) for mode in modes]
    ordinary = [changing("other/a", mode, Step("attack", World())) for mode in modes]
    assert cases_by_change([*ordinary, *cases, *restarted, *reported]) == [cases, restarted, reported]
