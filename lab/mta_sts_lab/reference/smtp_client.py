"""The client side of SMTP (RFC 5321, RFC 3207), one command at a time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from mta_sts_lab.reference.channel import Channel, ChannelClosed, Keep, nothing

#: Lines. A giant EHLO reply is a known attack; honest servers have about a dozen.
LONGEST_REPLY = 200

#: Seconds for the courtesy of a QUIT: nothing depends on its reply.
QUIT_SECONDS = 1.0

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_BARE_LINE_END = re.compile(rb"\r?\n|\r")


class SmtpError(Exception):
    """The dialogue cannot go on."""


class SmtpBroken(SmtpError):
    """The connection failed: it closed, stalled, or the server does not speak SMTP."""


class SmtpRefused(SmtpError):
    """The server said no. `command` is what was refused."""

    def __init__(self, command: str, reply: Reply) -> None:
        super().__init__(f"{command} was answered {reply.text}")
        self.command = command
        self.reply = reply

    @property
    def permanent(self) -> bool:
        """Whether the server said never (5xx) and not just not now."""
        return self.reply.code >= 500


class StarttlsRefused(SmtpRefused):
    """STARTTLS was offered and then not answered by 220."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code and the texts of its lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reply on one line, as it would stand in a log."""
        return f"{self.code} {' '.join(self.lines)}".rstrip()[:500]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to one recipient. An empty sender is the null reverse-path."""

    sender: str
    recipient: str
    message: bytes
    #: Whether it came in with REQUIRETLS, and has to go on with it (RFC 8689, section 4.1).
    requires_tls: bool = False
    #: Whether its header says that it goes without TLS where that cannot be had (RFC 8689, section 3).
    waives_tls: bool = False
    #: Whether a bounce is to have the whole message (RFC 3461, section 4.3).
    return_whole: bool = False
    #: Flaw: the domain whose policy counts in place of the recipient's.
    policy_of: str = ""


class SmtpClient:
    """One SMTP session over a channel. Every method may raise `SmtpBroken`; `close` ends the session at any point."""

    def __init__(self, channel: Channel, hello_name: str, seconds: float, *, in_all: bool = False) -> None:
        self.channel = channel
        #: Flaw: when the time of the whole session is over, on the clock of the event loop.
        self._ends = asyncio.get_running_loop().time() + seconds if in_all else math.inf
        self._hello_name = hello_name
        self._seconds = seconds
        #: What the last EHLO reply offers: keyword in upper case, parameters. Empty after HELO.
        self.extensions: Mapping[str, str] = {}
        #: Flaw: what was offered before TLS and is used inside it.
        self.extensions_from_clear: Mapping[str, str] = {}
        #: Whether a handshake was begun: after that there is no way back to clear text on this connection.
        self.tls_attempted = False
        #: What the server called itself in its greeting.
        self.greeting_name = ""

    @classmethod
    async def open(
        cls,
        address: tuple[str, int],
        hello_name: str,
        seconds: float,
        connect_seconds: float | None = None,
        *,
        in_all: bool = False,
    ) -> SmtpClient:
        """Connect, take the greeting, say hello. Raises `SmtpRefused` too.

        Each command gets `seconds`, or the whole session does (`in_all`, a flaw).
        """
        try:
            async with asyncio.timeout(connect_seconds or seconds):
                channel = await Channel.connect(*address)
        except TimeoutError as error:
            raise SmtpBroken("the connection was not accepted in time") from error
        except OSError as error:
            raise SmtpBroken(f"no connection: {error.strerror or error}") from error
        client = cls(channel, hello_name, seconds, in_all=in_all)
        try:
            await client._greeted()
            await client.hello()
        except BaseException:
            await channel.close()
            raise
        return client

    @property
    def offers_starttls(self) -> bool:
        """Whether the last hello was answered with STARTTLS."""
        return "STARTTLS" in self.extensions

    async def ask_in_vain(self, command: str) -> None:
        """Flaw: say a command that is out of place here, whatever it is answered."""
        await self._command(command)

    async def hello(self, *, plain: bool = False) -> None:
        """Say EHLO, or HELO to a server that does not know it (or `plain`). What an earlier hello said is forgotten."""
        self.extensions = {}
        if plain:
            await self._expect(f"HELO {self._hello_name}", 250)
            return
        reply = await self._command(f"EHLO {self._hello_name}")
        if reply.code == 250:
            self.extensions = _extensions(reply)
        elif reply.code >= 500:
            await self._expect(f"HELO {self._hello_name}", 250)
        else:
            raise SmtpRefused("EHLO", reply)

    async def start_tls(
        self,
        context: ssl.SSLContext,
        server_name: str | None,
        *,
        keep_early: Keep = nothing,
        behind: bytes = b"",
        before_handshake: bytes = b"",
    ) -> None:
        """Say STARTTLS and do the handshake. The next thing to say is `hello`.

        Flaws send something `behind` it at once, or `before_handshake` behind the 220. Raises `StarttlsRefused` for
        anything but 220 (the connection is still in clear and usable), `HandshakeFailed`.
        """
        reply = await self._exchange(b"STARTTLS\r\n" + behind)
        if reply.code != 220:
            raise StarttlsRefused("STARTTLS", reply)
        self.extensions = {}
        self.tls_attempted = True
        try:
            async with self._time_limit():
                if before_handshake:
                    await self.channel.write(before_handshake)
                await self.channel.start_tls(context, server_name, keep_early=keep_early)
        except TimeoutError as error:
            raise SmtpBroken("the handshake was not finished in time") from error

    async def try_hello(self, hello: bytes) -> None:
        """Flaw: say STARTTLS and these octets, and wait for an answer to them or the end of the connection."""
        await self._command("STARTTLS")
        self.tls_attempted = True
        with contextlib.suppress(SmtpBroken, ChannelClosed):
            await self._exchange(hello)

    async def send(self, envelope: Envelope, *options: str) -> Reply:
        """Hand over a message; return the reply to its final dot. Options stand behind MAIL FROM.

        Raises `SmtpRefused`.
        """
        await self.say_envelope(envelope, *options)
        await self._expect("DATA", 354)
        lines = _BARE_LINE_END.sub(b"\r\n", envelope.message)
        if not lines.endswith(b"\r\n"):
            lines += b"\r\n"
        stuffed = (b"." if lines.startswith(b".") else b"") + lines.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        reply = await self._exchange(stuffed)
        if not 200 <= reply.code < 300:
            raise SmtpRefused("the message", reply)
        return reply

    async def say_envelope(self, envelope: Envelope, *options: str) -> None:
        """Say MAIL FROM and RCPT TO. Raises `SmtpRefused`."""
        await self._expect(" ".join((f"MAIL FROM:<{envelope.sender}>", *options)), 250)
        notify = " NOTIFY=NEVER" if "DSN" in self.extensions_from_clear else ""
        await self._expect(f"RCPT TO:<{envelope.recipient}>{notify}", 250, 251)

    async def reset(self) -> None:
        """Say RSET, which forgets an envelope."""
        await self._expect("RSET", 250)

    async def close(self) -> None:
        """Say QUIT, wait a moment for its reply, close. Never raises."""
        try:
            # After a failed handshake the octets on the connection are nobody's SMTP.
            if self.channel.secured or not self.tls_attempted:
                with contextlib.suppress(SmtpError, TimeoutError):
                    async with asyncio.timeout(QUIT_SECONDS):
                        await self._command("QUIT")
        finally:
            await self.channel.close()

    async def _greeted(self) -> None:
        reply = await self._exchange(b"")
        if reply.code != 220:
            raise SmtpRefused("the connection", reply)
        self.greeting_name = reply.lines[0].partition(" ")[0].lower()

    async def _expect(self, command: str, *codes: int) -> Reply:
        reply = await self._command(command)
        if reply.code not in codes:
            raise SmtpRefused(command.partition(":")[0], reply)
        return reply

    async def _command(self, command: str) -> Reply:
        if "\r" in command or "\n" in command:
            raise SmtpBroken(f"a line end inside a command: {command[:80]!r}")
        return await self._exchange(command.encode("utf-8", "surrogateescape") + b"\r\n")

    def _time_limit(self) -> asyncio.Timeout:
        """Limit one command and its reply, or one handshake (RFC 5321, section 4.5.3.2)."""
        now = asyncio.get_running_loop().time()
        return asyncio.timeout_at(min(now + self._seconds, self._ends))

    async def _exchange(self, octets: bytes) -> Reply:
        try:
            async with self._time_limit():
                if octets:
                    await self.channel.write(octets)
                return await self._reply()
        except TimeoutError as error:
            said = octets[:40].partition(b"\r\n")[0].decode("utf-8", "replace") or "the connection"
            raise SmtpBroken(f"no reply to {said} in time") from error
        except ChannelClosed as error:
            raise SmtpBroken(str(error)) from error

    async def _reply(self) -> Reply:
        lines: list[str] = []
        for _ in range(LONGEST_REPLY):
            line = await self.channel.read_line()
            parts = _REPLY_LINE.fullmatch(line)
            if parts is None:
                raise SmtpBroken(f"no SMTP reply: {line[:80]!r}")
            lines.append((parts[3] or b"").decode("utf-8", "replace"))
            if parts[2] != b"-":
                return Reply(int(parts[1]), tuple(lines))
        raise SmtpBroken(f"a reply of more than {LONGEST_REPLY} lines")


def _extensions(reply: Reply) -> dict[str, str]:
    offered: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        offered[keyword.upper()] = parameters
    return offered
