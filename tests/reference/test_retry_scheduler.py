"""The sender's clock, and the schedule of its attempts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from mta_sts_lab.reference.retry_scheduler import RetryScheduler, VirtualClock


def test_it_runs_ahead_by_what_was_advanced() -> None:
    clock = VirtualClock(lambda: 1000.0)
    clock.advance(60)
    clock.advance(5)
    assert (clock.now(), clock.offset) == (1065.0, 65.0)
    with pytest.raises(ValueError, match="not put back"):
        clock.advance(-1)


async def test_waiters_are_woken_by_a_jump() -> None:
    clock = VirtualClock()
    wake = asyncio.Event()
    end = clock.on_jump(wake.set)
    waiting = asyncio.create_task(clock.wait(clock.now() + 3600, wake))
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(1)
    async with asyncio.timeout(1):
        await waiting
    end()
    wake.clear()
    clock.advance(1)
    assert not wake.is_set()


async def test_a_time_that_has_come_does_not_wait() -> None:
    clock = VirtualClock()
    async with asyncio.timeout(1):
        await clock.wait(clock.now() - 5, asyncio.Event())


#: When the frozen clock below stands, in seconds since 1970.
NOW = 1_000_000.0


@dataclass
class Things:
    """What is to be tried. An attempt ends when it is let go, and then the thing is done."""

    due: dict[str, float]
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(lambda: NOW))
    at_once: int = 8
    begun: list[str] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.go = asyncio.Event()
        self.changed = asyncio.Condition()
        self.scheduler = RetryScheduler("test", lambda: self.due, self._attempt, self.clock, at_once=self.at_once)

    async def _attempt(self, key: str) -> bool:
        self.begun.append(key)
        async with self.changed:
            self.changed.notify_all()
        await self.go.wait()
        del self.due[key]
        return key not in self.fails

    async def have_begun(self, count: int) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: len(self.begun) >= count)


async def test_what_is_due_is_tried_and_what_is_not_waits_for_the_clock() -> None:
    things = Things({"now": NOW, "later": NOW + 100, "much later": NOW + 200})
    things.scheduler.start()
    await things.have_begun(1)
    assert (things.begun, things.scheduler.trying("now"), things.scheduler.trying("later")) == (["now"], True, False)
    things.clock.advance(100)
    await things.have_begun(2)
    assert things.begun == ["now", "later"]
    await things.scheduler.stop()


async def test_a_thing_that_was_added_is_seen_after_a_look() -> None:
    things = Things({})
    things.scheduler.start()
    things.due["new"] = NOW
    things.scheduler.look()
    await things.have_begun(1)
    await things.scheduler.stop()


async def test_no_more_than_may_be_are_tried_at_once() -> None:
    things = Things({str(key): NOW for key in range(5)}, at_once=2)
    things.scheduler.start()
    await things.have_begun(2)
    assert len(things.begun) == 2
    assert all(things.scheduler.trying(key) for key in things.due)
    things.go.set()
    await things.have_begun(5)
    await things.scheduler.finish_what_is_due()
    assert (things.due, things.scheduler.trying("0")) == ({}, False)
    await things.scheduler.stop()


async def test_successes_are_counted_and_nothing_is_tried_twice_at_once() -> None:
    things = Things({"good": NOW, "bad": NOW, "later": NOW + 1}, fails={"bad"})
    things.scheduler.start()
    await things.have_begun(2)
    things.go.set()
    assert await things.scheduler.finish_what_is_due() == 1
    assert (sorted(things.begun), list(things.due)) == (["bad", "good"], ["later"])
    await things.scheduler.stop()


@pytest.mark.parametrize(("grace", "left"), [(5.0, []), (0.0, ["one"])])
async def test_the_end_waits_only_if_asked_to(grace: float, left: list[str]) -> None:
    things = Things({"one": NOW})
    things.scheduler.start()
    await things.have_begun(1)
    ending = asyncio.create_task(things.scheduler.stop(grace))
    if grace:
        things.go.set()
    await ending
    assert list(things.due) == left
    things.clock.advance(10)
    assert len(things.begun) == 1
