from __future__ import annotations

import asyncio

import pytest
from mta_sts_lab.reference.retry_scheduler import VirtualClock


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
