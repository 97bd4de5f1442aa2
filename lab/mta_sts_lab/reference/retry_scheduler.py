"""The sender's own clock, and what it has to try when: the queue and the reporter both keep a schedule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


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


@dataclass(eq=False, repr=False)
class RetryScheduler:
    """Tries what is due on the virtual clock, several things at once. Call `start` first.

    `due` tells when each thing that is kept is to be tried next (seconds since 1970-01-01 UTC, virtual), by its key.
    `attempt` tries one and returns whether that succeeded; it plans the next attempt itself, and does not raise.
    """

    name: str
    due: Callable[[], Mapping[str, float]]
    attempt: Callable[[str], Awaitable[bool]]
    clock: VirtualClock
    at_once: int = field(kw_only=True)
    _active: dict[str, asyncio.Task[bool]] = field(default_factory=dict, init=False)
    _runner: asyncio.Task[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.at_once)
        self._wake = asyncio.Event()
        self._end_of_jumps: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin with what is due now."""
        self._end_of_jumps = self.clock.on_jump(self._wake.set)
        self._runner = asyncio.create_task(self._run(), name=self.name)

    async def stop(self, grace: float = 0.0) -> None:
        """End. What is under way gets `grace` seconds to finish, and then breaks off where it is."""
        self._end_of_jumps()
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)
        running = list(self._active.values())
        if grace and running:
            await asyncio.wait(running, timeout=grace)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def look(self) -> None:
        """Look again: something has become due, or was added."""
        self._wake.set()

    def trying(self, key: str) -> bool:
        """Whether an attempt is under way, or waits for its turn."""
        return key in self._active

    async def finish_what_is_due(self) -> int:
        """Begin what is due and wait for the end of all that is under way; return how many attempts succeeded."""
        self._begin_what_is_due()
        ended = await asyncio.gather(*self._active.values(), return_exceptions=True)
        return sum(one is True for one in ended)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self.clock.wait(self._begin_what_is_due(), self._wake)

    def _begin_what_is_due(self) -> float | None:
        """Return when the next thing becomes due, None if there is none."""
        now = self.clock.now()
        waiting = {key: when for key, when in self.due().items() if key not in self._active}
        for key, when in waiting.items():
            if when <= now:
                self._active[key] = asyncio.create_task(self._try(key))
        return min((when for when in waiting.values() if when > now), default=None)

    async def _try(self, key: str) -> bool:
        try:
            async with self._slots:
                return await self.attempt(key)
        finally:
            self._active.pop(key, None)
            self._wake.set()
