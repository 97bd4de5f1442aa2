"""What a sender says in clear where TLS belongs: behind a 220 to STARTTLS, behind a handshake that failed, behind TLS.

Whoever stands on the path reads every octet, whatever state the protocol is in; so does the attacker here. TLS records
are told from clear text by their headers alone, without a key.
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
    """Takes TLS records out of a stream, however it was cut, and leaves what stands in clear between them.

    Records are looked for where a record or a line has ended. `alerts` are the words of unencrypted alerts so far.
    """

    def __init__(self) -> None:
        self.alerts: list[str] = []
        self._unread = bytearray()
        self._left_of_record = 0
        self._within_line = False

    def feed(self, octets: bytes) -> bytes:
        """Return the octets that now turned out to be no TLS."""
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
    """Cuts clear text into lines for the record, up to the bounds above. No line is lost for want of an end."""

    def __init__(self) -> None:
        self._buffer = LineBuffer()
        self._octets = 0
        self._lines = 0

    @property
    def full(self) -> bool:
        """Whether enough is on record, and nothing more will be."""
        return self._octets >= MOST_CLEAR_OCTETS or self._lines >= MOST_CLEAR_LINES

    def feed(self, octets: bytes) -> list[str]:
        """Return the lines that are whole now. One that grows beyond every bound is returned as it stands."""
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
        """Return what is left without a line end."""
        rest = self._buffer.take_all()
        return [as_text(rest)] if rest else []
