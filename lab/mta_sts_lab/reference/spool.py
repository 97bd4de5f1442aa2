"""The spool: one message to one recipient, on disk before it is answered for (RFC 5321, section 4.2.5)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from mta_sts_lab.reference.atomic import write_atomically
from mta_sts_lab.reference.smtp_client import Envelope


class Spooled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a message beside its text. Times are virtual seconds since 1970."""

    id: str
    sender: str
    recipient: str
    received_at: float
    next_try: float
    attempts: int = 0
    reason: str = ""


class Spool:
    """A directory of messages: `<id>.eml` is the text, `<id>.json` the rest, written last and removed first."""

    def __init__(self, directory: Path, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._log = log
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, envelope: Envelope, now: float) -> Spooled:
        """Keep a new message, due at once. Raises `OSError`; nothing is left behind then."""
        entry = Spooled(secrets.token_hex(8), envelope.sender, envelope.recipient, received_at=now, next_try=now)
        text = self._text(entry.id)
        try:
            text.write_bytes(envelope.message)
            self.update(entry)
        except OSError:
            text.unlink(missing_ok=True)
            raise
        return entry

    def update(self, entry: Spooled) -> None:
        """Write what has changed. Raises `OSError`."""
        write_atomically(self._facts(entry.id), msgspec.json.encode(entry))

    def envelope(self, entry: Spooled) -> Envelope:
        """Return the message with its envelope. Raises `OSError`."""
        return Envelope(entry.sender, entry.recipient, self._text(entry.id).read_bytes())

    def remove(self, entry: Spooled) -> None:
        """Forget a message. From the first of these lines on it will not be delivered again."""
        self._facts(entry.id).unlink(missing_ok=True)
        self._text(entry.id).unlink(missing_ok=True)

    def load(self) -> list[Spooled]:
        """Return all messages that an earlier life of the sender left."""
        entries: list[Spooled] = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                entry = msgspec.json.decode(path.read_bytes(), type=Spooled)
            except (OSError, msgspec.MsgspecError) as error:
                self._log(f"spool: {path.name} cannot be read: {error}")
                continue
            if self._text(entry.id).exists():
                entries.append(entry)
            else:
                self._log(f"spool: the text of {entry.id} is missing")
        return entries

    def _facts(self, entry_id: str) -> Path:
        return self._directory / f"{entry_id}.json"

    def _text(self, entry_id: str) -> Path:
        return self._directory / f"{entry_id}.eml"
