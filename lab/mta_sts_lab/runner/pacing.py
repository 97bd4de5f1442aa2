"""How many cases are in flight at one time: more while the lab's event loop keeps up, fewer while it lags.

Too many cases at once make each wait of the lab and of a target long, and a case whose deadline passes proves nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

#: Cases in flight at the beginning.
FIRST = 24

#: The fewest. Some cases do nothing but wait for a deadline of the target, and the others go on beside them.
FEWEST = 8

#: Seconds by which the event loop is late, on an average of the last second: below the first more cases begin, above
#: the second fewer. That is far below what makes the lab's answers come too late; see `MOST_LATE` in `runner.health`.
SMALL_LAG, LARGE_LAG = 0.03, 0.08

#: How much one measurement counts in the average. There are ten a second.
_SHARE = 0.2


@dataclass(slots=True)
class Pace:
    """The number of cases that may be in flight. It follows the measured lag; `most` is its upper limit."""

    most: int
    limit: int = 0
    _lag: float = 0.0

    def __post_init__(self) -> None:
        self.limit = min(FIRST, self.most)

    def measured(self, lag: float, in_flight: int) -> None:
        """Take in by how many seconds the loop was late while so many cases were in flight."""
        self._lag += (lag - self._lag) * _SHARE
        if self._lag > LARGE_LAG:
            # What is in flight made the lag, not what would be allowed.
            self.limit = max(min(FEWEST, self.most), min(self.limit, in_flight) * 9 // 10)
        elif self._lag < SMALL_LAG and in_flight >= self.limit:
            self.limit = min(self.most, self.limit + max(1, self.limit // 8))


class Gate:
    """Lets cases in, in the order in which they ask, as many at one time as the pace allows."""

    def __init__(self, most: int) -> None:
        self.pace = Pace(most)
        #: Cases in flight.
        self.inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Wait for a place."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._let_in()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a place back."""
        self.inside -= 1
        self._let_in()

    def measured(self, lag: float) -> None:
        """Let the pace follow the lag of the event loop."""
        self.pace.measured(lag, self.inside)
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.inside < self.pace.limit:
            place = self._waiting.popleft()
            if not place.done():
                self.inside += 1
                place.set_result(None)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()
