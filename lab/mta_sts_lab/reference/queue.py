"""The queue: tries what is due, keeps what cannot be delivered yet, gives up after its lifetime (RFC 5321, 4.5.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from mta_sts_lab.reference.bounce import build_bounce
from mta_sts_lab.reference.clock import VirtualClock
from mta_sts_lab.reference.delivery import Deferred, Delivered, Failed, Result
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.retry_scheduler import RetryScheduler
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.reference.spool import Spool, Spooled

#: Seconds that running deliveries get to end when the sender is stopped gently.
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as the queue view shows it. `active` is being tried, or waits for its first try."""

    id: str
    sender: str
    recipient: str
    active: bool
    reason: str


class Queue:
    """Runs deliveries over a spool. `deliver` makes one attempt."""

    def __init__(
        self,
        spool: Spool,
        deliver: Callable[[Envelope], Awaitable[Result]],
        clock: VirtualClock,
        settings: Settings,
        flaws: Flaws,
        log: Callable[[str], None],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self._spool = spool
        self._deliver = deliver
        self._clock = clock
        self._settings = settings
        self._flaws = flaws
        self._log = log
        self._on_error = on_error
        self._entries: dict[str, Spooled] = {}
        self._flushes = 0
        # No pause is longer than an hour, so the end of a message's life is noticed at its next try.
        self._scheduler = RetryScheduler(
            "reference sender queue",
            lambda: {key: entry.next_try for key, entry in self._entries.items()},
            self._attempt,
            clock,
            at_once=settings.parallel_deliveries,
        )

    def start(self) -> None:
        """Read the spool and begin."""
        self._entries = {entry.id: entry for entry in self._spool.load()}
        self._scheduler.start()

    async def stop(self, *, gently: bool) -> None:
        """End. Gently lets running deliveries finish for a while; otherwise they break off where they are."""
        await self._scheduler.stop(GRACE if gently else 0.0)

    def take(self, envelope: Envelope) -> str:
        """Take responsibility for a message; return its id. Raises `OSError` when it cannot be kept."""
        entry = self._spool.add(envelope, self._clock.now())
        self._entries[entry.id] = entry
        self._scheduler.look()
        return entry.id

    def flush(self) -> None:
        """Make everything due now. What is being tried is tried again if that attempt, begun before, fails."""
        self._flushes += 1
        now = self._clock.now()
        for entry in self._entries.values():
            self._entries[entry.id] = msgspec.structs.replace(entry, next_try=now)
        self._scheduler.look()

    def view(self) -> list[Entry]:
        """Return what is held."""
        return [
            Entry(one.id, one.sender, one.recipient, self._scheduler.trying(one.id) or one.attempts == 0, one.reason)
            for one in self._entries.values()
        ]

    async def _attempt(self, key: str) -> bool:
        entry, flushes = self._entries[key], self._flushes
        try:
            envelope = self._spool.envelope(entry)
            result = await self._deliver(envelope)
            if isinstance(result, Delivered) and self._flaws.delivers_twice:
                await self._deliver(envelope)
            self._settle(entry, envelope, result, again=self._flushes != flushes)
        except Exception as error:  # noqa: BLE001 it must neither lose the message nor stop the queue, and it is told
            self._on_error("reference sender: delivery", error)
            self._keep(entry, f"internal error: {type(error).__name__}: {error}", again=False)
            return False
        return isinstance(result, Delivered)

    def _settle(self, entry: Spooled, envelope: Envelope, result: Result, *, again: bool) -> None:
        match result:
            case Delivered(detail):
                self._remove(entry, f"delivered to {detail}")
            case Failed(reason, status):
                self._return(entry, envelope, reason, status)
            case Deferred(reason) if self._flaws.loses_message:
                self._remove(entry, f"lost: {reason}")
            case Deferred(reason):
                if self._clock.now() >= entry.received_at + self._settings.queue_lifetime:
                    self._return(entry, envelope, reason, "4.4.7")
                else:
                    self._keep(entry, reason, again=again)

    def _keep(self, entry: Spooled, reason: str, *, again: bool) -> None:
        pause = min(self._settings.retry_seconds * 2 ** min(entry.attempts, 16), self._settings.longest_retry_seconds)
        now = self._clock.now()
        kept = msgspec.structs.replace(
            entry, attempts=entry.attempts + 1, next_try=now if again else now + pause, reason=reason[:1000]
        )
        self._entries[entry.id] = kept
        self._log(f"{entry.id} to {entry.recipient}: deferred: {reason}")
        try:
            self._spool.update(kept)
        except OSError as error:
            self._log(f"{entry.id}: the spool could not be written: {error}")

    def _return(self, entry: Spooled, envelope: Envelope, reason: str, status: str) -> None:
        """Give up: tell the sender, unless the message is itself a notification (RFC 5321, section 4.5.5)."""
        if entry.sender:
            self.take(build_bounce(envelope, reason, status, self._settings.hostname, self._clock.now()))
        self._remove(entry, f"given up: {reason}")

    def _remove(self, entry: Spooled, why: str) -> None:
        self._spool.remove(entry)
        self._entries.pop(entry.id, None)
        self._log(f"{entry.id} to {entry.recipient}: {why}")
