"""The lab's own SMTP client: it hands messages to a target over a few connections that are kept open.

A run injects hundreds of messages, and one connection each would cost the target more than the messages do. Nothing
here is judged: there is no attacker between the lab and the target. The target's certificate is not verified, because
images use self-signed ones on their submission port.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import msgspec

from mta_sts_lab.targets.contract import InjectionRefusedError, TargetError
from mta_sts_lab.timeouts import INJECT

#: Connections at one time. Postfix took 63 messages over four of them in 0.3 s.
CONNECTIONS = 4

#: The name in the lab's EHLO.
HELLO_NAME = "lab.example"

#: Octets of a line, and lines, of a reply. Honest servers send about a dozen lines.
LONGEST_LINE, LONGEST_REPLY = 8192, 200

#: Seconds to wait for the reply to QUIT. Nothing depends on it.
QUIT_SECONDS = 1.0

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_LINE_END = re.compile(rb"\r?\n|\r")

#: Options of MAIL whose extension has another name (RFC 3461, section 4).
_EXTENSION_OF = {"RET": "DSN"}


#: Connects to a port of the target. Raises `OSError`.
Connect = Callable[[int], Awaitable[socket.socket]]


class Inject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[inject]` of target.toml: how a target takes mail from the lab. Raises `ValueError` for what does not fit."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 25
    #: Whether STARTTLS comes first (RFC 3207).
    starttls: bool = False
    #: For AUTH PLAIN (RFC 4954, RFC 4616); empty: nobody logs in. It is no secret: it opens a container of one run.
    user: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        if self.user and not self.password:
            raise ValueError("`user` needs a `password` beside it")
        if self.password and not self.user:
            raise ValueError("`password` needs a `user` beside it")
        if self.user and not self.starttls:
            raise ValueError("`user` and `password` need `starttls = true`: AUTH PLAIN is said inside TLS only")
        if not f"{self.user}{self.password}".isprintable():
            raise ValueError("`user` and `password` may not hold control characters")


class SessionBroken(TargetError):
    """The connection failed: it closed, stalled, or the server does not speak SMTP."""


class CommandRefused(InjectionRefusedError):
    """The server answered a command with 4xx or 5xx."""

    def __init__(self, command: str, reply: Reply) -> None:
        super().__init__(f"{command} was answered {reply.text}")
        #: Whether the refusal is permanent (5xx).
        self.permanent = reply.code >= 500


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code and the texts of its lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reply on one line, as a log would have it."""
        return f"{self.code} {' '.join(self.lines)}".rstrip()[:500]


class SmtpSession:
    """One SMTP session. Every method but `close` may raise `SessionBroken` and `CommandRefused`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._extensions: dict[str, str] = {}

    @classmethod
    async def open(cls, host: str, inject: Inject, connect: Connect | None = None) -> SmtpSession:
        """Connect, say EHLO and, where `inject` asks for it, STARTTLS and AUTH. No error shows the password."""
        try:
            place = {"sock": await connect(inject.port)} if connect else {"host": host, "port": inject.port}
            session = cls(*await asyncio.open_connection(**place, limit=LONGEST_LINE))
        except OSError as error:
            raise SessionBroken(f"no connection: {error.strerror or error}") from error
        try:
            await session._expect("", 220, shown="the connection")
            await session._hello()
            if inject.starttls:
                await session._start_tls()
            if inject.user:
                await session._log_in(inject.user, inject.password)
        except BaseException:
            session.abort()
            raise
        return session

    async def begin(self, sender: str, options: tuple[str, ...] = ()) -> None:
        """Say MAIL FROM. If the session breaks here, the message can be sent over another one.

        Every option belongs to an extension that must have been offered.
        """
        for option in options:
            extension = _EXTENSION_OF.get(option.partition("=")[0], option)
            if extension not in self._extensions:
                raise CommandRefused("EHLO", Reply(550, (f"without {extension}, which the message needs",)))
        await self._expect(" ".join((f"MAIL FROM:<{sender}>", *options)), 250, shown="MAIL FROM")

    async def address(self, recipient: str) -> None:
        """Say RCPT TO."""
        await self._expect(f"RCPT TO:<{recipient}>", 250, 251, shown="RCPT TO")

    async def finish(self, recipient: str, message: bytes) -> str:
        """Hand over the message that was begun; return the reply to its final dot. Commas are between recipients."""
        for one in recipient.split(","):
            await self.address(one)
        await self._expect("DATA", 354)
        lines = _LINE_END.sub(b"\r\n", message)
        if not lines.endswith(b"\r\n"):
            lines += b"\r\n"
        # Dots are doubled at the beginning of lines (RFC 5321, section 4.5.2).
        stuffed = (b"." if lines.startswith(b".") else b"") + lines.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        reply = await self._exchange(stuffed)
        if not 200 <= reply.code < 300:
            raise CommandRefused("the message", reply)
        return reply.text

    async def reset(self) -> None:
        """Say RSET, which shows whether the session is still open."""
        await self._expect("RSET", 250)

    async def close(self) -> None:
        """Say QUIT, wait a moment for its reply, close. Never raises."""
        try:
            with contextlib.suppress(TargetError, TimeoutError):
                async with asyncio.timeout(QUIT_SECONDS):
                    await self._expect("QUIT", 221)
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def _hello(self) -> None:
        self._extensions = {}
        reply = await self._exchange(f"EHLO {HELLO_NAME}\r\n".encode())
        if reply.code == 250:
            offered = (line.strip().partition(" ") for line in reply.lines[1:])
            self._extensions = {keyword.upper(): parameters for keyword, _, parameters in offered}
        elif reply.code >= 500:
            await self._expect(f"HELO {HELLO_NAME}", 250, shown="HELO")
        else:
            raise CommandRefused("EHLO", reply)

    async def _start_tls(self) -> None:
        if "STARTTLS" not in self._extensions:
            raise SessionBroken("STARTTLS is not offered, and [inject] of target.toml asks for it")
        await self._expect("STARTTLS", 220)
        try:
            await self._writer.start_tls(unverified(), ssl_handshake_timeout=INJECT.seconds)
        except OSError as error:
            raise SessionBroken(f"no TLS came about after STARTTLS: {error}") from error
        await self._hello()

    async def _log_in(self, user: str, password: str) -> None:
        if "PLAIN" not in self._extensions.get("AUTH", "").upper().split():
            raise SessionBroken("AUTH PLAIN is not offered")
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        await self._expect(f"AUTH PLAIN {response}", 235, shown="AUTH PLAIN")

    async def _expect(self, command: str, *codes: int, shown: str = "") -> None:
        """Send a command and read its reply; errors show `shown` instead. An empty command only waits for a reply."""
        reply = await self._exchange(f"{command}\r\n".encode() if command else b"")
        if reply.code not in codes:
            raise CommandRefused(shown or command, reply)

    async def _exchange(self, octets: bytes) -> Reply:
        try:
            async with asyncio.timeout(INJECT.seconds):
                self._writer.write(octets)
                await self._writer.drain()
                return await self._reply()
        except TimeoutError as error:
            raise SessionBroken(f"no reply within {INJECT.seconds:g} s") from error
        except OSError as error:
            raise SessionBroken(f"the connection broke: {error.strerror or error}") from error

    async def _reply(self) -> Reply:
        lines: list[str] = []
        while len(lines) < LONGEST_REPLY:
            try:
                line = await self._reader.readline()
            except ValueError:
                raise SessionBroken(f"a line of more than {LONGEST_LINE} octets") from None
            if not line.endswith(b"\n"):
                raise SessionBroken("the connection was closed")
            parts = _REPLY_LINE.fullmatch(line.rstrip(b"\r\n"))
            if parts is None:
                raise SessionBroken(f"no SMTP reply: {line[:80]!r}")
            lines.append((parts[3] or b"").decode("utf-8", "replace"))
            if parts[2] != b"-":
                return Reply(int(parts[1]), tuple(lines))
        raise SessionBroken(f"a reply of more than {LONGEST_REPLY} lines")


@cache
def unverified() -> ssl.SSLContext:
    """Return the TLS of a client of the lab's own, which takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _ClosedMeanwhile(Exception):
    """The session broke before it took anything: the target closed it while it was idle, as servers may."""


class Injector:
    """Sends messages over pooled sessions; `name` is what the target is called in errors.

    `open_session` opens a session that is ready for MAIL FROM.
    """

    def __init__(self, name: str, open_session: Callable[[], Awaitable[SmtpSession]]) -> None:
        self._name = name
        self._open = open_session
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._pausing = asyncio.Lock()
        self._idle: list[SmtpSession] = []

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        """Hand over one message; return the reply to its final dot. `options` stand behind MAIL FROM.

        Raises `InjectionRefusedError` for a refusal and `TargetError` when the dialogue breaks or `INJECT` passes.
        """
        try:
            async with self._slots, asyncio.timeout(INJECT.seconds):
                return await self._send(sender, recipient, message, options)
        except TimeoutError as error:
            raise TargetError(
                f"{self._name} did not take a message for {recipient} within {INJECT.seconds} s ({INJECT.name})"
            ) from error
        except CommandRefused as error:
            raise InjectionRefusedError(f"{self._name}: {error}") from error
        except SessionBroken as error:
            raise TargetError(f"{self._name}: the SMTP dialogue broke while a message was injected: {error}") from error

    async def greet(self) -> None:
        """Open one session and keep it for the first message. Raises `TargetError` when nobody greets."""
        self._idle.append(await self.open())

    async def open(self) -> SmtpSession:
        """Open a session, which the caller closes. Raises `TargetError` when nobody greets."""
        try:
            async with asyncio.timeout(INJECT.seconds):
                return await self._open()
        except TimeoutError as error:
            waited = f"no session within {INJECT.seconds:g} s ({INJECT.name})"
            raise TargetError(f"{self._name} does not take mail: {waited}") from error
        except (SessionBroken, CommandRefused) as error:
            raise TargetError(f"{self._name} does not take mail: {error}") from error

    @contextlib.asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Wait until the current messages are sent, and begin no other one meanwhile."""
        async with contextlib.AsyncExitStack() as taken, self._pausing:
            for _ in range(CONNECTIONS):
                await taken.enter_async_context(self._slots)
            yield

    async def close(self) -> None:
        """Close the idle sessions."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.close() for session in idle))

    async def _send(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...]) -> str:
        while self._idle:
            session = self._idle.pop()
            try:
                return await self._over(session, sender, recipient, message, options)
            except _ClosedMeanwhile:
                continue
            except CommandRefused as refusal:
                if refusal.permanent:
                    raise
                # Perhaps only this session takes no more (OpenSMTPD: 452 4.5.3 after 100 messages).
                if session in self._idle:
                    self._idle.remove(session)
                    await session.close()
        try:
            return await self._over(await self._open(), sender, recipient, message, options)
        except _ClosedMeanwhile as error:
            raise SessionBroken(str(error)) from error

    async def _over(
        self, session: SmtpSession, sender: str, recipient: str, message: bytes, options: tuple[str, ...]
    ) -> str:
        """Hand over a message and keep the session for the next one. Raises `_ClosedMeanwhile` if nothing was said."""
        try:
            try:
                await session.begin(sender, options)
            except SessionBroken as error:
                raise _ClosedMeanwhile(str(error)) from error
            reply = await session.finish(recipient, message)
        except CommandRefused:
            await self._keep_after_refusal(session)
            raise
        except BaseException:
            session.abort()
            raise
        self._idle.append(session)
        return reply

    async def _keep_after_refusal(self, session: SmtpSession) -> None:
        """Keep a session for the next message if the server forgets the one that it refused."""
        try:
            await session.reset()
        except BaseException as error:
            session.abort()
            if not isinstance(error, TargetError):
                raise
        else:
            self._idle.append(session)
