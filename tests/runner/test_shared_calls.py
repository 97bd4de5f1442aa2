"""One call for everybody: when all who still play wait for it, and not before."""

from __future__ import annotations

import asyncio

import pytest
from mta_sts_lab.events import LabFailed, ReportsAsked, ReportsLeft, TargetFailed
from mta_sts_lab.model import Case, Expectation, Mode, Step, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.pacing import Gate
from mta_sts_lab.runner.shared_calls import ReportCall
from mta_sts_lab.targets.contract import NotOffered


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


def case(name: str, *, asks: bool = False, expects: bool = True) -> Case:
    expect = Expectation(("deferred",), "STS-5-03", report=("success",)) if expects else None
    return Case(name, "a/b", Mode.ENFORCE, (Step("attack", World(), expect=expect, reports=asks),))


def call_for(target: Reporter, recorder: Recorder, *cases: Case, claimed: bool = True) -> ReportCall:
    return ReportCall(target, recorder, cases, claimed)  # type: ignore[arg-type]


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
