"""Watches the lab itself while cases are played: its event loop, its clock, and whether its hosts still answer.

What is found goes on record. The judge then proves nothing against a target that had to do with a lab in such a state.
"""

from __future__ import annotations

import asyncio
import time

from mta_sts_lab.events import LabUnhealthy
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import WITNESS
from mta_sts_lab.world.internet import CaseWorld, Internet

#: Seconds between two beats.
_BEAT = 0.5

#: Seconds by which a beat may be late. Senders wait at least 3 s for an answer before they give up.
LONGEST_LAG = 2.0

#: Seconds by which the clock may part from the monotonic one.
LARGEST_STEP = 1.0


class Health:
    """The health of one run's lab."""

    def __init__(self, internet: Internet, recorder: Recorder) -> None:
        self._internet = internet
        self._recorder = recorder
        self._last = time.monotonic()
        self._offset = time.time() - self._last
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the loop, the clock and the name server."""
        self._beating = asyncio.create_task(self._beat(), name="heartbeat")

    async def stop(self) -> None:
        """End the watch, after a last look."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self.look()

    def look(self, expected: float = _BEAT) -> None:
        """Put on record what has happened to the loop and the clock since the last look, so many seconds ago."""
        now = time.monotonic()
        lag, self._last = now - self._last - expected, now
        if lag > LONGEST_LAG:
            observed = f"the lab's event loop stood still for {lag:.1f} s"
            self._recorder.write(LabUnhealthy(part="event loop", observed=observed, seconds=round(lag + expected, 3)))
        offset = time.time() - time.monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) > LARGEST_STEP:
            observed = f"the machine's clock was moved by {step:+.0f} s"
            self._recorder.write(LabUnhealthy(part="clock", observed=observed, lasting=True))

    async def ask_hosts(self, world: CaseWorld) -> None:
        """Connect to each host of a case that should take connections now, and put on record which do not."""
        for host in (*world.mx, world.policy_server):
            if host.listening and not await host.answers():
                part = "policy host" if host is world.policy_server else "mx"
                observed = f"{host.name} does not take connections, and no attack wanted that"
                self._recorder.write(LabUnhealthy(part=part, observed=observed), world.case)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            self.look()
            if not await self._internet.dns.answers():
                observed = "the lab's name server does not answer"
                self._recorder.write(LabUnhealthy(part="name server", observed=observed, seconds=WITNESS.seconds))
            self.look(expected=0.0)
