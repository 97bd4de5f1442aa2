"""A target whose answers are all recorded, for the check of its adapter."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mta_sts_lab.adapter_check.probes import HELD
from mta_sts_lab.events import DnsAnswered, Event, LogRead, MessageInjected, PartTried, QueueListed, QueueSeen
from mta_sts_lab.model.target import About
from mta_sts_lab.record import Recorder
from mta_sts_lab.targets.black_box import BlackBox
from mta_sts_lab.targets.contract import Held, NotAnswering, NotNow, NotOffered, Target, TargetError

T = TypeVar("T")

#: Seconds between two attempts to reach a target that is starting, and the least timeout of an attempt.
_PAUSE, _KNOCK = 0.1, 1.0

#: Seconds for which a starting target may answer 404 for a part of the contract.
_MISSING = 5.0

#: The most rows of a queue that are recorded, and characters of each of their fields.
_MOST_ROWS, _LONGEST_WORD = 200, 300

#: The most lines of a log that are recorded, and characters of each.
_MOST_LINES, _LONGEST_LINE = 40, 300


class QuietTime:
    """A time without requests: from when a step's message waits until `seconds` later, or the target's next attempt.

    If the target shows no queue it ends at twice the time after the injection. It never lasts beyond `latest`, which
    is on the clock of `time.monotonic`.
    """

    def __init__(self, case: str, step: str, seconds: float, latest: float) -> None:
        self._of = (case, step)
        self._seconds = seconds
        self._end = latest
        self._waits = False

    def see(self, event: Event) -> None:
        """Take an event of the record."""
        if (event.case, event.step) != self._of:
            return
        now = time.monotonic()
        match event.fact:
            case MessageInjected():
                self._end = min(self._end, now + 2 * self._seconds)
            case QueueSeen(state="deferred") if not self._waits:
                self._waits = True
                self._end = min(self._end, now + self._seconds)
            case DnsAnswered(type="MX") if self._waits:
                self._end = -math.inf

    def over(self) -> bool:
        """Whether attempts may be requested."""
        return time.monotonic() >= self._end


class ObservedTarget(BlackBox):
    """A `Target` that records the answers of another one. A part that broke the contract once is hidden afterwards."""

    def __init__(self, inside: Target, recorder: Recorder) -> None:
        super().__init__(inside, ())
        self._recorder = recorder
        self._rows: tuple[tuple[str, str, str, str], ...] | None = None
        self._tried: set[str] = set()
        self._put_off: set[str] = set()
        self._domains: set[str] = set()
        self._quiet: QuietTime | None = None
        recorder.listen(self._remember)

    async def come_up(self, seconds: float) -> tuple[About, bool]:
        """Wait until the contract answers and mail is accepted, at most so many seconds; record the result.

        Returns the answer of GET /about, if there was one, and whether mail is accepted.
        """
        give_up = time.monotonic() + seconds
        about = await self._knock("about", self.inside.about, give_up)
        if about is None:
            return About(""), False
        return about, await self._knock("smtp", self._greeted, give_up) is True

    async def _greeted(self) -> bool:
        await self.inside.greet()
        return True

    async def _knock(self, part: str, knock: Callable[[], Awaitable[T]], give_up: float) -> T | None:
        began = time.monotonic()
        while True:
            error: TargetError
            try:
                async with asyncio.timeout(max(give_up - time.monotonic(), _KNOCK)):
                    answer = await knock()
            except TargetError as caught:
                error = caught
            except TimeoutError:
                error = NotAnswering("connections are taken, and nothing is ever said")
            else:
                self._write(part, began, None)
                return answer
            if isinstance(error, NotOffered):
                give_up = min(give_up, began + _MISSING)
            if ended := self.inside.ended():
                error, give_up = NotAnswering(ended), -math.inf
            if time.monotonic() + _PAUSE > give_up:
                self._write(part, began, error)
                return None
            await asyncio.sleep(_PAUSE)

    async def queue(self) -> tuple[Held, ...]:
        """See `Target`. Changes in the queue are recorded."""
        held = await self._watched("queue", super().queue, quiet=True)
        rows = tuple(
            tuple(word[:_LONGEST_WORD] for word in (one.recipient, one.sender, one.state, one.reason))
            for one in held[:_MOST_ROWS]
        )
        if rows != self._rows:
            self._rows = rows  # type: ignore[assignment]
            self._recorder.write(QueueListed(rows=rows))  # type: ignore[arg-type]
        return held

    def hold_flushes(self, seconds: float, at_most: float) -> None:
        """Answer "not now" to each request for an attempt until the target's own rhythm has been seen.

        That is when the probe's message has waited for `seconds`, or was tried again; at most `at_most` seconds.
        """
        self._quiet = QuietTime(HELD.id, "held", seconds, time.monotonic() + at_most)

    async def flush(self) -> None:
        """See `Target`."""
        if self._quiet is not None and not self._quiet.over():
            raise NotNow("the target's own rhythm is being watched")
        await self._watched("flush", super().flush, quiet=True)

    async def restart(self, signal: str) -> None:
        """See `Target`. Whether mail is accepted again is recorded, too."""
        began = time.monotonic()
        try:
            await super().restart(signal)
            await self.inside.greet()
        except TargetError as error:
            self._write("restart", began, error, signal)
            self.hidden.add("restart")
            raise
        self._write("restart", began, None, signal)

    async def advance(self, seconds: int) -> None:
        """See `Target`."""
        await self._watched("clock", lambda: super(ObservedTarget, self).advance(seconds), str(seconds))

    async def reports(self) -> None:
        """See `Target`."""
        await self._watched("reports", super().reports)

    async def logs(self) -> str:
        """See `Target`. The lines that name our recipients are recorded."""
        text = await self._watched("logs", super().logs)
        lines = [line for line in text.splitlines() if any(domain in line for domain in self._domains)]
        kept = tuple(line.strip()[:_LONGEST_LINE] for line in lines[-_MOST_LINES:])
        self._recorder.write(LogRead(characters=len(text), lines=kept))
        return text

    async def _watched(
        self, part: str, call: Callable[[], Awaitable[T]], argument: str = "", *, quiet: bool = False
    ) -> T:
        """Make a call and record it; for a `quiet` part only the first call and failures."""
        began = time.monotonic()
        try:
            answer = await call()
        except NotNow:
            if part not in self._put_off:
                self._put_off.add(part)
                self._write(part, began, None, argument, put_off=True)
            raise
        except TargetError as error:
            if part not in self.hidden:
                self._write(part, began, error, argument)
            if isinstance(error, NotAnswering) and part in self._tried:
                raise  # not a hook that is wrong: the target has gone
            self.hidden.add(part)
            raise NotOffered(f"/{part}: {error}") from error
        if not quiet or part not in self._tried:
            self._write(part, began, None, argument)
        self._tried.add(part)
        return answer

    def _write(
        self, part: str, began: float, error: TargetError | None, argument: str = "", *, put_off: bool = False
    ) -> None:
        self._recorder.write(
            PartTried(
                part=part,
                argument=argument,
                reached=not isinstance(error, NotAnswering),
                offered=not isinstance(error, NotOffered),
                error="" if error is None or isinstance(error, NotOffered) else str(error),
                seconds=round(time.monotonic() - began, 3),
                put_off=put_off,
            )
        )

    def _remember(self, event: Event) -> None:
        if isinstance(event.fact, MessageInjected):
            self._domains.add(event.fact.recipient.rpartition("@")[2])
        if self._quiet is not None:
            self._quiet.see(event)
