"""The words of SMTP as an attacker on the path sees them: commands, replies, the end of a message (RFC 5321).

Octets that come from the target or the receiver are passed on exactly as they came; what is parsed here is only a
view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

#: Octets. RFC 5321, section 4.5.3.1 lets a line have 1000; extensions raise it. Whoever sends more without a line end
#: is not speaking SMTP to us, and must not fill our memory.
LONGEST_LINE = 65536

#: Lines. The longest genuine EHLO reply of the lab has 8; USENIX Security 2021 ("Why TLS is better without STARTTLS")
#: used giant ones against clients.
LONGEST_REPLY = 1000

#: The canary of a message: in the header `X-Lab-Token: <token>`, or in its body as `lab-token:<token>`.
_TOKEN = re.compile(rb"lab-token:[ \t]{0,8}([0-9a-f]{16})(?![0-9a-f])", re.IGNORECASE)

#: Octets that are kept between two looks, so that a token is found wherever the stream was cut.
_TOKEN_TAIL = 64


class NotSmtp(Exception):
    """What arrived cannot be SMTP. The message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line from the sender, with its line end in `raw`."""

    raw: bytes

    @property
    def text(self) -> str:
        """The line without its end, for the record."""
        return as_text(self.raw)

    @property
    def verb(self) -> str:
        """The first word in upper case ("EHLO"); empty for an empty line."""
        words = self.text.split(maxsplit=1)
        return words[0].upper() if words else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of one or more lines; each is kept without its line end ("250-SIZE 1000", "250 HELP")."""

    lines: tuple[str, ...]

    @property
    def code(self) -> str:
        """The three digits of the last line, which is the one that counts (RFC 5321, section 4.2.1)."""
        return self.lines[-1][:3]

    @property
    def raw(self) -> bytes:
        """The reply as octets."""
        return b"".join(line.encode("latin-1") + b"\r\n" for line in self.lines)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a reply on its way to the sender. Nothing `said` is a line removed; `altered`: by the attacker."""

    said: str
    altered: bool = False
    instead_of: str = ""


#: What an attack makes of a genuine reply.
Edit: TypeAlias = Callable[[Reply], Iterable[Line]]


def untouched(genuine: Reply) -> list[Line]:
    """Return the lines of a reply as they are."""
    return [Line(line) for line in genuine.lines]


def punctuate(lines: list[Line]) -> list[Line]:
    """Put a space behind the code of the last line that is said, a hyphen behind every other (RFC 5321, 4.2.1)."""
    last = max((number for number, line in enumerate(lines) if line.said), default=-1)
    return [
        replace(line, said=line.said[:3] + (" " if number == last else "-") + line.said[4:])
        if len(line.said) > 3
        else line
        for number, line in enumerate(lines)
    ]


def reply(code: int, *texts: str) -> Reply:
    """Build a reply of one line for each text."""
    last = len(texts) - 1
    return Reply(tuple(f"{code}{' ' if number == last else '-'}{text}" for number, text in enumerate(texts)))


def keyword(line: str) -> str:
    """Return the EHLO keyword that a line of an EHLO reply offers, in upper case."""
    words = line[4:].split(maxsplit=1)
    return words[0].upper() if words else ""


def as_text(raw: bytes) -> str:
    """Return a line without its end. Latin-1, so that any octets survive the way back."""
    return raw.decode("latin-1").removesuffix("\n").removesuffix("\r")


class LineBuffer:
    """Octets of one direction, taken out line by line however they were cut into segments."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        self._octets += data

    def peek(self) -> bytes:
        """Return everything that waits, and leave it there."""
        return bytes(self._octets)

    def take_all(self) -> bytes:
        """Return everything that waits, and forget it."""
        octets = bytes(self._octets)
        self._octets.clear()
        return octets

    def take_line(self) -> bytes | None:
        """Return the next whole line with its end, or None. Raises `NotSmtp` when a line grows without end."""
        end = self._octets.find(b"\n")
        if end < 0:
            if len(self._octets) > LONGEST_LINE:
                raise NotSmtp(f"{len(self._octets)} octets without a line end")
            return None
        line = bytes(self._octets[: end + 1])
        del self._octets[: end + 1]
        return line

    def take_reply(self) -> Reply | None:
        """Return the next whole reply, or None while its last line is missing. Raises `NotSmtp`."""
        lines: list[str] = []
        start = 0
        while (end := self._octets.find(b"\n", start)) >= 0:
            line = as_text(bytes(self._octets[start : end + 1]))
            start = end + 1
            lines.append(line)
            if not line[:3].isdigit() or len(lines) > LONGEST_REPLY:
                raise NotSmtp(f"not a reply: {line[:80]!r}")
            if line[3:4] != "-":
                del self._octets[:start]
                return Reply(tuple(lines))
        if len(self._octets) - start > LONGEST_LINE:
            raise NotSmtp(f"{len(self._octets)} octets without a line end")
        return None


class MessageEnd:
    """Finds the end of a message in the octets behind DATA: CRLF, dot, CRLF and nothing else (RFC 5321, 4.1.1.4)."""

    _MARK = b"\r\n.\r\n"

    def __init__(self) -> None:
        # The line end of the DATA command counts: a message may be empty.
        self._tail = b"\r\n"

    def take(self, octets: bytes) -> tuple[bytes, bytes] | None:
        """Return what belongs to the message and what follows it, or None while the end is still to come."""
        seen = self._tail + octets
        found = seen.find(self._MARK)
        if found < 0:
            self._tail = seen[-(len(self._MARK) - 1) :]
            return None
        cut = found + len(self._MARK) - len(self._tail)
        return octets[:cut], octets[cut:]


class TokenScanner:
    """Finds the canaries of messages in a stream of octets, each once."""

    def __init__(self) -> None:
        self._tail = b""
        self._found: set[str] = set()

    def feed(self, octets: bytes) -> list[str]:
        """Return the tokens that have become visible with these octets."""
        seen = self._tail + octets
        self._tail = seen[-_TOKEN_TAIL:]
        # A match that ends with the stream so far may turn out to be longer than a token.
        return self._fresh(match for match in _TOKEN.finditer(seen) if match.end() < len(seen))

    def end(self) -> list[str]:
        """Return the token that the stream ends with, if it does: nothing follows that could make it longer."""
        return self._fresh(_TOKEN.finditer(self._tail))

    def _fresh(self, matches: Iterable[re.Match[bytes]]) -> list[str]:
        fresh: list[str] = []
        for match in matches:
            token = match.group(1).decode("ascii").lower()
            if token not in self._found:
                self._found.add(token)
                fresh.append(token)
        return fresh
