"""Finds clear text where there should be TLS: after a 220 to STARTTLS, after a failed handshake, after the end of TLS.

An attacker on the path reads every octet, whatever the state of the protocol. TLS records are recognised by their
headers, without a key.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.smtp import LineBuffer, NotSmtp, as_text
from mta_sts_lab.attacks.toolkit.tls_wire import plain_alert, record_ahead

#: Octets that are put on record of what one session says in clear where TLS belongs: a whole message and much more
#: (those of the lab have less than 2 KiB, 64 KiB with a long body). The search for canaries goes on behind it.
MOST_CLEAR_OCTETS = 1 << 20

#: Lines, for the same reason: a message of that size in lines of usual length has 15 000.
MOST_CLEAR_LINES = 20_000


class ClearTextFinder:
    """Removes TLS records from a stream, in pieces of any size, and returns the clear text between them.

    A record can begin where a record or a line has ended. `alerts` has the unencrypted alerts so far, in words.
    """

    def __init__(self) -> None:
        self.alerts: list[str] = []
        self._unread = bytearray()
        self._left_of_record = 0
        self._within_line = False

    def feed(self, octets: bytes) -> bytes:
        """Take octets; return those that are known to be no TLS."""
        self._unread += octets
        clear = bytearray()
        while self._unread:
            if self._left_of_record:
                self._left_of_record -= len(self._take(self._left_of_record))
                continue
            if not self._within_line:
                length = record_ahead(bytes(self._unread[:5]))
                if length is None:
                    break
                if length and not self._begin_record(length):
                    break
                if length:
                    continue
            line = self._take(self._unread.find(b"\n") + 1 or len(self._unread))
            self._within_line = not line.endswith(b"\n")
            clear += line
        return bytes(clear)

    def _begin_record(self, length: int) -> bool:
        """Step into a record; an alert's two octets are waited for. Return whether there was enough to do so."""
        if length == 7 and len(self._unread) < length:
            return False
        if alert := plain_alert(bytes(self._unread[:7])):
            self.alerts.append(alert)
        self._left_of_record = length
        return True

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


class ClearLines:
    """Cuts clear text into lines for the record, up to the bounds above. A last line without an end is kept."""

    def __init__(self) -> None:
        self._buffer = LineBuffer()
        self._octets = 0
        self._lines = 0

    @property
    def full(self) -> bool:
        """Whether the bounds are reached, so that nothing more is recorded."""
        return self._octets >= MOST_CLEAR_OCTETS or self._lines >= MOST_CLEAR_LINES

    def feed(self, octets: bytes) -> list[str]:
        """Take octets; return the complete lines. A line that exceeds the bounds is returned without its end."""
        taken = octets[: max(0, MOST_CLEAR_OCTETS - self._octets)]
        self._octets += len(taken)
        self._buffer.feed(taken)
        lines: list[str] = []
        while not self._lines >= MOST_CLEAR_LINES:
            try:
                raw = self._buffer.take_line()
            except NotSmtp:
                raw = self._buffer.take_all()
            if raw is None:
                break
            self._lines += 1
            lines.append(as_text(raw))
        return lines

    def end(self) -> list[str]:
        """Return the rest, which has no line end."""
        rest = self._buffer.take_all()
        return [as_text(rest)] if rest else []
