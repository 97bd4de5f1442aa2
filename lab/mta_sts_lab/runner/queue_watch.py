"""One watch over the target's queue for all cases at once.

Listing the queue costs the target a process, so the cases do not list it themselves: they name the messages that they
wait for and those that need another attempt, and the watch records the states that it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from mta_sts_lab.events import ConnectionAccepted, Event, QueueSeen, TargetFailed, TargetFlushed
from mta_sts_lab.record import Recorder
from mta_sts_lab.targets.contract import Held, NotNow, NotOffered, Target, TargetError
from mta_sts_lab.timeouts import FLUSH_PAUSE, FLUSH_WHILE_ACTIVE, QUEUE_LOOK, QUEUE_POLL_SHORTEST, Deadline

#: Looks without a message before it counts as gone. A queue listing is not a snapshot: a message that moves from one
#: directory to another in mid-listing is in neither.
LOOKS_BEFORE_GONE = 2

#: A pause is so many times as long as the look before it: looking takes at most a fifth of the target's time, and a
#: target that is busy is asked less often.
_PAUSE_PER_LOOK = 4


def pause_after(seconds: float, longest: float) -> float:
    """Return the seconds until the next look, after one that took `seconds`; `longest` limits them."""
    return min(longest, max(QUEUE_POLL_SHORTEST.seconds, _PAUSE_PER_LOOK * seconds))


@dataclass(slots=True)
class _Watched:
    case: str
    recipient: str
    state: str = ""
    reason: str = ""
    misses: int = 0
    #: How many events the case had at the beginning of the listing that was last recorded.
    events_then: int = 0
    wants_retry: bool = False
    #: How many requests to try again came while the target was at work on it, since it was last seen at rest.
    flushed_at_work: int = 0


class QueueWatch:
    """Lists the target's queue regularly while a case waits for a message."""

    def __init__(
        self,
        target: Target,
        recorder: Recorder,
        pause: Deadline,
        look: Deadline = QUEUE_LOOK,
        flush_pause: Deadline = FLUSH_PAUSE,
        flush_while_active: Deadline = FLUSH_WHILE_ACTIVE,
    ) -> None:
        self._target = target
        self._recorder = recorder
        self.pause = pause
        self._longest = look
        self._flush_pause = flush_pause
        self._flush_while_active = flush_while_active
        self._watched: dict[str, _Watched] = {}
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        #: False once the target has said that it shows no queue.
        self.offered = True
        self._offers_flush = True
        #: Whether a request to try again was ever refused, and whether one was ever accepted.
        self._put_off, self._flushed = False, False
        self._asked_at = -math.inf
        #: The error with which the target broke: every case must stop waiting.
        self.broken: str = ""
        self.breaks = asyncio.Event()

    @property
    def flushes(self) -> bool:
        """Whether the target tries again on request: it offers that, and has not only answered "not now"."""
        return self._offers_flush and (self._flushed or not self._put_off)

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="queue-watch")

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def follow(self, token: str, case: str, recipient: str) -> None:
        """Record the states of a message from now on."""
        self._watched.setdefault(token, _Watched(case, recipient.lower()))
        self._wanted.set()

    def forget(self, token: str) -> None:
        """Stop following a message."""
        self._watched.pop(token, None)

    def retry(self, token: str) -> None:
        """Ask for another attempt at this message, together with whatever else is in the queue."""
        if token in self._watched:
            self._watched[token].wants_retry = True
            self._wanted.set()

    @contextlib.asynccontextmanager
    async def set_aside(self) -> AsyncIterator[None]:
        """Pause the watch: a target that is being restarted shows no queue."""
        async with self._turn:
            yield

    async def _watch(self) -> None:
        while not self.broken:
            if not self._watched:
                self._wanted.clear()
                await self._wanted.wait()
            began = time.monotonic()
            try:
                async with self._turn, asyncio.timeout(self._longest.seconds):
                    await self._look()
                    await self._flush_if_wanted()
            except (TargetError, TimeoutError) as error:
                self._break(str(error) or f"{self._longest.name}: no answer within {self._longest.seconds:g} s")
                self._recorder.write(TargetFailed(what=f"the target's queue cannot be seen: {self.broken}"))
            except Exception as error:  # noqa: BLE001 - on record as a lab error, which no verdict survives as a pass
                self._break(f"{type(error).__name__}: {error}")
                self._recorder.lab_failed("queue watch", error)
            await asyncio.sleep(pause_after(time.monotonic() - began, self.pause.seconds))

    def _break(self, why: str) -> None:
        self.broken = why
        self.breaks.set()

    async def _look(self) -> None:
        """List the queue. A target that shows none is asked all the same: it may say that it has ended."""
        # A message that came while the target was listing its queue may rightly be missing from the list, and what
        # happens meanwhile may not be in it yet.
        began = self._recorder.now()
        there_before = {token: len(self._recorder.of_case(watched.case)) for token, watched in self._watched.items()}
        try:
            held = await self._target.queue()
        except NotOffered:
            self.offered = False
        else:
            self._note(held, began, there_before)

    async def _flush_if_wanted(self) -> None:
        wanting = [watched for watched in self._watched.values() if watched.wants_retry]
        if not self._offers_flush or not wanting or self._too_early():
            return
        for watched in wanting:
            watched.wants_retry = False
        began = self._asked_at = time.monotonic()
        try:
            await self._target.flush()
        except NotNow:
            for watched in wanting:
                watched.wants_retry = True
            self._put_off = True
            return
        except NotOffered:
            self._offers_flush = False
            return
        self._flushed = True
        for watched in self._watched.values():
            watched.flushed_at_work += watched.state == "active"
        self._recorder.write(TargetFlushed(seconds=round(time.monotonic() - began, 3)))

    def _too_early(self) -> bool:
        """Whether the target may still be busy with an earlier request.

        An attempt that outlasts a request gets more time before the next one, so that it comes to its end.
        """
        since = time.monotonic() - self._asked_at
        if not self.offered:
            return since < self._flush_pause.seconds
        at_work = [watched.flushed_at_work for watched in self._watched.values() if watched.state == "active"]
        return bool(at_work) and since < self._flush_while_active.seconds * max(1, *at_work)

    def _note(self, held: tuple[Held, ...], began: float, there_before: Mapping[str, int]) -> None:
        """Record a listing. `there_before` has the number of events of each message's case before the listing."""
        by_recipient = {entry.recipient.lower(): entry for entry in held}
        for token, events in there_before.items():
            watched = self._watched.get(token)
            if watched is None:
                continue
            entry = by_recipient.get(watched.recipient)
            watched.misses = 0 if entry else watched.misses + 1
            state = entry.state if entry else "gone"
            # One look is no rest: a target that was asked meanwhile begins its next attempt a moment later.
            if "active" not in (state, watched.state):
                watched.flushed_at_work = 0
            if entry is not None:
                seen = QueueSeen(token=token, state=entry.state, looked=began, reason=entry.reason[:400])
                self._write(watched, seen, events)
            elif watched.misses >= LOOKS_BEFORE_GONE:
                self._write(watched, QueueSeen(token=token, state="gone", looked=began), events)

    def _write(self, watched: _Watched, seen: QueueSeen, events: int) -> None:
        """Record a state when it has changed, or when the case has new events since it was last recorded."""
        if (seen.state, seen.reason) == (watched.state, watched.reason) and not self._moved_on(watched, events):
            watched.events_then = events  # nothing among them, so that no later look goes through them again
            return
        if seen.state == watched.state == "gone" and not self._met_a_host(watched, events):
            watched.events_then = events
            return
        watched.state, watched.reason, watched.events_then = seen.state, seen.reason, events
        self._recorder.write(seen, watched.case)

    def _moved_on(self, watched: _Watched, events: int) -> bool:
        """Whether a case had new events, other than queue states, before a listing began."""
        return any(not isinstance(event.fact, QueueSeen) for event in self._news(watched, events))

    def _met_a_host(self, watched: _Watched, events: int) -> bool:
        """Whether the target has connected to a host of the case since: a queue that shows nothing then hides it."""
        return any(isinstance(event.fact, ConnectionAccepted) for event in self._news(watched, events))

    def _news(self, watched: _Watched, events: int) -> list[Event]:
        return self._recorder.of_case(watched.case)[watched.events_then : events]
