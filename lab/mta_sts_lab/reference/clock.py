"""The sender's own clock: real time plus an offset, so that days can pass in a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class VirtualClock:
    """Real time plus an offset that only grows. It stands for the machine's clock, so a restart does not reset it.

    Certificates are checked by OpenSSL against the machine's real time, whatever this clock says.
    """

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._offset = 0.0
        self._jumps: set[Callable[[], None]] = set()

    @property
    def offset(self) -> float:
        """Seconds by which this clock is ahead of the real one."""
        return self._offset

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC, virtual."""
        return self._real() + self._offset

    def advance(self, seconds: float) -> None:
        """Move forward. Raises `ValueError` for a negative length: the past is not offered."""
        if seconds < 0:
            raise ValueError(f"a clock is not put back ({seconds} s)")
        self._offset += seconds
        for jumped in tuple(self._jumps):
            jumped()

    def on_jump(self, jumped: Callable[[], None]) -> Callable[[], None]:
        """Call `jumped` whenever the clock is moved. Returns what ends that."""
        self._jumps.add(jumped)
        return lambda: self._jumps.discard(jumped)

    async def wait(self, until: float | None, wake: asyncio.Event) -> None:
        """Return when this clock shows `until` (never, if None) or when `wake` is set, whichever comes first."""
        seconds = None if until is None else max(0.0, until - self.now())
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            return
