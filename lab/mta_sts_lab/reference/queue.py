"""The queue: its spool on disk, its attempts, and the notice that a message was given up.

It tries what is due, keeps what cannot be delivered yet, and gives up after a message's lifetime (RFC 5321, section
4.5.4). A message is on disk before it is answered for (section 4.2.5).
"""

from __future__ import annotations

import email
import email.utils
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from mta_sts_lab.reference.bounce import build_bounce
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.result import Deferred, Delivered, Failed, Result
from mta_sts_lab.reference.retry_scheduler import RetryScheduler, VirtualClock
from mta_sts_lab.reference.settings import DAY, Settings
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.reference.store import JsonFolder


class Spooled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a message beside its text. Times are virtual seconds since 1970."""

    id: str
    sender: str
    recipient: str
    received_at: float
    next_try: float
    attempts: int = 0
    reason: str = ""
    requires_tls: bool = False
    waives_tls: bool = False
    return_whole: bool = False
    policy_of: str = ""


class Spool:
    """A directory of messages: `<id>.eml` is the text, `<id>.json` the rest, written last and removed first."""

    def __init__(self, directory: Path, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._log = log
        self._facts = JsonFolder(directory, Spooled, "spool", log)

    def add(self, envelope: Envelope, now: float) -> Spooled:
        """Keep a new message, due at once. Raises `OSError`; nothing is left behind then."""
        entry = Spooled(
            secrets.token_hex(8),
            envelope.sender,
            envelope.recipient,
            received_at=now,
            next_try=now,
            requires_tls=envelope.requires_tls,
            waives_tls=envelope.waives_tls,
            return_whole=envelope.return_whole,
            policy_of=envelope.policy_of,
        )
        text = self._text(entry)
        try:
            text.write_bytes(envelope.message)
            self._facts.write(entry.id, entry)
        except OSError:
            text.unlink(missing_ok=True)
            raise
        return entry

    def update(self, entry: Spooled) -> None:
        """Write what has changed, if the disk allows it."""
        self._facts.keep(entry.id, entry)

    def envelope(self, entry: Spooled) -> Envelope:
        """Return the message with its envelope. Raises `OSError`."""
        marks = entry.requires_tls, entry.waives_tls, entry.return_whole, entry.policy_of
        return Envelope(entry.sender, entry.recipient, self._text(entry).read_bytes(), *marks)

    def remove(self, entry: Spooled) -> None:
        """Forget a message. From the first of these lines on it will not be delivered again."""
        self._facts.remove(entry.id)
        self._text(entry).unlink(missing_ok=True)

    def load(self) -> list[Spooled]:
        """Return all messages that an earlier life of the sender left."""
        entries = self._facts.load()
        for entry in entries:
            if not self._text(entry).exists():
                self._log(f"spool: the text of {entry.id} is missing")
        return [entry for entry in entries if self._text(entry).exists()]

    def _text(self, entry: Spooled) -> Path:
        return self._directory / f"{entry.id}.eml"


#: The status of mail that was tried for too long (RFC 3463, section 3.5).
OUT_OF_TIME = "4.4.7"

#: Only for the flaw that makes no pauses: enough attempts for a series that is no accident, and an end of it.
_RUSHED_ATTEMPTS = 14

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


@dataclass(eq=False, repr=False)
class Queue:
    """Runs deliveries over a spool. `deliver` makes one attempt."""

    spool: Spool
    deliver: Callable[[Envelope], Awaitable[Result]]
    clock: VirtualClock
    settings: Settings
    flaws: Flaws
    log: Callable[[str], None]
    on_error: Callable[[str, BaseException], None]
    _entries: dict[str, Spooled] = field(default_factory=dict, init=False)
    #: Only for the flaw that answers notices: whom it has answered.
    _answered: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._flushes = 0
        # No pause is longer than an hour, so the end of a message's life is noticed at its next try.
        self._scheduler = RetryScheduler(
            "reference sender queue",
            lambda: {key: entry.next_try for key, entry in self._entries.items()},
            self._attempt,
            self.clock,
            at_once=self.settings.parallel_deliveries,
        )

    def start(self) -> None:
        """Read the spool and begin."""
        left = () if self.flaws.forgets_queue_at_restart else self.spool.load()
        self._entries = {entry.id: entry for entry in left}
        self._scheduler.start()

    async def stop(self, *, gently: bool) -> None:
        """End. Gently lets running deliveries finish for a while; otherwise they break off where they are."""
        await self._scheduler.stop(GRACE if gently else 0.0)

    def take(self, envelope: Envelope) -> str:
        """Take responsibility for a message, and say when in it (RFC 5321, section 4.4); return its id.

        Raises `OSError` when it cannot be kept.
        """
        now = self.clock.now()
        trace = f"Received: by {self.settings.hostname}; {email.utils.formatdate(now)}\r\n".encode()
        entry = self.spool.add(replace(envelope, message=trace + envelope.message), now)
        self._entries[entry.id] = entry
        self._scheduler.look()
        return entry.id

    def flush(self) -> None:
        """Make everything due now. What is being tried is tried again if that attempt, begun before, fails."""
        self._flushes += 1
        now = self.clock.now()
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
            envelope = self.spool.envelope(entry)
            result = await self.deliver(envelope)
            if isinstance(result, Delivered) and self.flaws.delivers_twice:
                await self.deliver(envelope)
            self._settle(entry, envelope, result, again=self._flushes != flushes)
        except Exception as error:  # noqa: BLE001 - reported; it must neither lose the message nor stop the queue
            self.on_error("reference sender: delivery", error)
            self._keep(entry, f"internal error: {type(error).__name__}: {error}", again=False)
            return False
        return isinstance(result, Delivered)

    def _settle(self, entry: Spooled, envelope: Envelope, result: Result, *, again: bool) -> None:
        match result:
            case Delivered(detail):
                self._remove(entry, f"delivered to {detail}")
            case Failed(reason, status):
                self._return(entry, envelope, reason, status)
            case Deferred(reason) if self.flaws.loses_message:
                self._remove(entry, f"lost: {reason}")
            case Deferred(reason):
                if self.clock.now() >= entry.received_at + self._lifetime:
                    self._return(entry, envelope, reason, OUT_OF_TIME)
                else:
                    self._keep(entry, reason, again=again)

    @property
    def _lifetime(self) -> float:
        """Virtual seconds for which a message is tried."""
        if self.flaws.keeps_blocked_mail_for_ever:
            return math.inf
        return DAY if self.flaws.gives_up_after_a_day else self.settings.queue_lifetime

    def _keep(self, entry: Spooled, reason: str, *, again: bool) -> None:
        pause = min(self.settings.retry_seconds * 2 ** min(entry.attempts, 16), self.settings.longest_retry_seconds)
        if self.flaws.retries_without_pause and entry.attempts < _RUSHED_ATTEMPTS:
            pause = 0.0
        now = self.clock.now()
        required = entry.requires_tls and not self.flaws.forgets_requiretls_in_the_queue
        kept = msgspec.structs.replace(
            entry,
            requires_tls=required,
            attempts=entry.attempts + 1,
            next_try=now if again else now + pause,
            reason=reason[:1000],
        )
        self._entries[entry.id] = kept
        self.log(f"{entry.id} to {entry.recipient}: deferred: {reason}")
        self.spool.update(kept)

    def _return(self, entry: Spooled, envelope: Envelope, reason: str, status: str) -> None:
        """Give up: tell the sender, unless the message is itself a notification (RFC 5321, section 4.5.5)."""
        silently = self.flaws.gives_up_silently and status == OUT_OF_TIME
        if not entry.sender:
            envelope = self._with_somebody_to_notify(envelope)
        if envelope.sender and not silently:
            self.take(build_bounce(envelope, reason, status, self.settings.hostname, self.clock.now(), self.flaws))
        self._remove(entry, f"given up: {reason}")

    def _with_somebody_to_notify(self, envelope: Envelope) -> Envelope:
        """Flaws: find an author for mail that has none, or answer a notice where nobody took it, once an address."""
        is_notice = email.message_from_bytes(envelope.message).get_content_type() == "multipart/report"
        if is_notice and self.flaws.answers_error_messages and envelope.recipient not in self._answered:
            self._answered.add(envelope.recipient)
            return replace(envelope, sender=envelope.recipient)
        if not is_notice and self.flaws.notifies_about_null_sender_mail:
            author = email.utils.parseaddr(str(email.message_from_bytes(envelope.message)["From"]))[1]
            return replace(envelope, sender=author)
        return envelope

    def _remove(self, entry: Spooled, why: str) -> None:
        self.spool.remove(entry)
        self._entries.pop(entry.id, None)
        self.log(f"{entry.id} to {entry.recipient}: {why}")
