"""The number of cases in flight follows the lag of the event loop."""

from __future__ import annotations

import asyncio

import pytest
from mta_sts_lab.runner.pacing import FEWEST, FIRST, LARGE_LAG, SMALL_LAG, Gate, Pace

QUIET, SLOW = SMALL_LAG / 2, LARGE_LAG * 2


def test_it_begins_modestly_and_grows_while_the_loop_keeps_up() -> None:
    pace = Pace(240)
    assert pace.limit == FIRST
    seen = [pace.limit]
    while pace.limit < 240:
        pace.measured(QUIET, in_flight=pace.limit)
        seen.append(pace.limit)
    assert seen == sorted(set(seen)), "each measurement lets more in"
    assert len(seen) < 30, "and within a few seconds all"


def test_it_shrinks_while_the_loop_lags_but_never_to_nothing() -> None:
    pace = Pace(240)
    pace.limit = 240
    pace.measured(SLOW * 10, in_flight=90)
    assert pace.limit == 81, "what was in flight was too much, however many were allowed"
    for _ in range(60):
        pace.measured(SLOW, in_flight=pace.limit)
    assert pace.limit == FEWEST


@pytest.mark.parametrize(
    ("lag", "in_flight"),
    [(QUIET, FIRST - 1), (SLOW, FIRST)],
    ids=["nobody waits for a place", "once too late"],
)
def test_it_stays(lag: float, in_flight: int) -> None:
    pace = Pace(240)
    pace.measured(lag, in_flight)
    assert pace.limit == FIRST


def test_a_run_with_room_for_few_stays_below_that() -> None:
    pace = Pace(3)
    pace.measured(SLOW, in_flight=3)
    assert pace.limit == 3
    pace.measured(QUIET, in_flight=3)
    assert pace.limit == 3


async def test_the_gate_lets_in_as_many_as_the_pace_allows() -> None:
    gate, inside = Gate(240), []

    async def case(name: int) -> None:
        async with gate:
            inside.append(name)
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(case(number)) for number in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert inside == list(range(FIRST))
        gate.measured(QUIET)
        await asyncio.sleep(0)
        assert inside == list(range(gate.pace.limit)) != list(range(FIRST))
        for _ in range(5):
            gate.measured(SLOW)
        before = list(inside)
        tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert inside == before, "a place that the pace took away is not given again"
        for task in tasks:
            task.cancel()


async def test_who_leaves_the_line_takes_no_place() -> None:
    gate = Gate(1)
    await gate.acquire()
    gone, next_one = (asyncio.create_task(gate.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    # The place is given while the one who left has not yet run.
    gate.release()
    await next_one
    gate.release()
    last = asyncio.create_task(gate.acquire())
    await asyncio.sleep(0)
    gate.release()
    assert last.done()


async def test_who_is_let_in_and_cancelled_at_once_gives_the_place_back() -> None:
    gate = Gate(1)
    await gate.acquire()
    let_in, next_one = (asyncio.create_task(gate.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    gate.release()
    let_in.cancel()
    await asyncio.wait_for(next_one, 1)
