"""A run from end to end: what is on record, and what is left, when it cannot begin, breaks off or is interrupted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.in_process import REFERENCE, InProcess
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.events import LabFailed
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.target import About
from mta_sts_lab.reference.queue import Queue
from mta_sts_lab.runner.context import IN_PROCESS as TIMEOUTS
from mta_sts_lab.runner.context import RunContext, Timeouts
from mta_sts_lab.runner.plan import Plan, header_of, plan_run
from mta_sts_lab.runner.run import RunningWorld, RunSetup, run
from mta_sts_lab.targets.contract import Target, TargetError
from mta_sts_lab.world.network import AddressInUse, Listener, LoopbackNetwork

from tests.runner.arena import AUTHORITY, CATALOGUE, IMPATIENT, Around, Kept


def plan_of(*patterns: str) -> Plan:
    return plan_run(CATALOGUE.find(patterns), CATALOGUE.cases, ("sts-lab", "run"), 7)


SETUP = RunSetup(authority=AUTHORITY, timeouts=IMPATIENT)


async def played(pattern: str, kept: Kept, directory: Path, timeouts: Timeouts = TIMEOUTS) -> None:
    """Play some cases against the reference sender."""
    await InProcess(timeouts=timeouts).play_here(Job(plan_of(pattern), REFERENCE, kept.outlet(), directory))


async def ready(context: RunContext) -> None:
    """No probe comes before the cases."""


class TestPlan:
    def test_what_is_chosen_brings_its_control_arms_along(self) -> None:
        plan = plan_of("starttls/strip[enforce]", "starttls/strip[testing]")
        assert [case.id for case in plan.cases] == [
            "starttls/strip[enforce]",
            "starttls/strip[testing]",
            "starttls/strip[absent]",
        ]
        assert plan.control_only == {"starttls/strip[absent]"}

    def test_a_control_arm_that_was_chosen_supports_nobody(self) -> None:
        plan = plan_of("starttls/strip")
        assert plan.control_only == frozenset()
        assert [case.mode for case in plan.cases].count(Mode.ABSENT) == 1

    def test_runs_have_different_names_and_seeds(self) -> None:
        plans = [plan_run(CATALOGUE.find(["starttls/strip"]), CATALOGUE.cases, (), None) for _ in range(3)]
        assert len({plan.run for plan in plans}) == 3
        assert len({plan.seed for plan in plans}) == 3

    def test_the_header_tells_all_that_a_verdict_depends_on(self) -> None:
        plan = plan_of("starttls/strip")
        began = datetime(2026, 3, 1, 9, tzinfo=UTC)
        about = About("some-mta", {"openssl": "3.5"}, ("mta-sts",), 2.0, reports_end_the_day=True)
        header = header_of(replace(plan, own_files="0123"), about, began)
        assert (header.clock_began, header.about) == ("2026-03-01T09:00:00.000+00:00", about)
        assert {"mta-sts-lab", "python", "mitmproxy", "aiosmtpd"} <= header.versions.keys()
        assert (header.seed, header.cases, header.own_files) == (7, plan.cases, "0123")


async def test_a_whole_run(tmp_path: Path) -> None:
    kept = Kept()
    before = asyncio.all_tasks()
    await played("starttls/strip[absent]", kept, tmp_path)
    assert len(kept.headers) == 1
    (footer,) = kept.footers
    assert footer.complete
    assert footer.events == len(kept.events)
    assert [event.number for event in kept.events] == list(range(1, len(kept.events) + 1))
    assert "delivered" in kept.files["log.txt"]
    assert asyncio.all_tasks() == before


async def test_an_interrupted_run_is_marked_incomplete_and_leaves_nothing(tmp_path: Path) -> None:
    kept = Kept()
    before = asyncio.all_tasks()
    running = asyncio.create_task(played("starttls/*", kept, tmp_path))
    await kept.began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [footer.complete for footer in kept.footers] == [False]
    assert kept.footers[0].events == len(kept.events)
    assert asyncio.all_tasks() == before


async def test_a_fault_of_the_reference_sender_is_a_fault_of_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Queue._settle
    calls = 0

    def stumble_once(self: Queue, *arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("a fault in the queue")
        settle(self, *arguments, **options)

    monkeypatch.setattr(Queue, "_settle", stumble_once)
    kept = Kept()
    await played("starttls/strip[absent]", kept, tmp_path, IMPATIENT)
    assert any("a fault in the queue" in event.fact.error for event in kept.events if isinstance(event.fact, LabFailed))


class Occupied(LoopbackNetwork):
    """Somebody else has the port."""

    async def listen_datagrams(self, address: str, port: int, factory: object) -> Listener:
        raise AddressInUse(f"cannot receive on {address} port {port} (UDP): address in use; is another lab using it?")


async def started(world: RunningWorld) -> Target:
    raise AssertionError("no target is started in a world that did not come up")


async def test_an_occupied_port(tmp_path: Path) -> None:
    kept = Kept()
    before = asyncio.all_tasks()
    with pytest.raises(AddressInUse, match="is another lab using it"):
        await run(plan_of("starttls/strip"), replace(SETUP, network=Occupied()), started, ready, kept.outlet())
    assert not kept.headers
    assert not kept.events
    assert asyncio.all_tasks() == before


class NeverUp(Around):
    closed = False

    async def about(self) -> About:
        raise TargetError("http://198.18.0.3:8025/about: no answer")

    async def close(self) -> None:
        self.closed = True


async def test_a_target_that_never_answers(tmp_path: Path) -> None:
    kept = Kept()
    before = asyncio.all_tasks()
    target = NeverUp(None)  # type: ignore[arg-type]

    async def start(world: RunningWorld) -> Target:
        return target

    with pytest.raises(TargetError, match="no answer"):
        await run(plan_of("starttls/strip"), SETUP, start, ready, kept.outlet())
    assert target.closed
    assert not kept.headers
    assert [footer.complete for footer in kept.footers] == [False], "the file ignores a footer without a header"
    assert asyncio.all_tasks() == before
