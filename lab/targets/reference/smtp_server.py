"""Mail from the lab comes in here: SMTP on a listener, for any recipient, spooled before it is answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Received

from lab.targets.reference.smtp_client import Envelope

#: Octets. The lab's messages have a few hundred.
LARGEST_MESSAGE = 10 * 1024 * 1024

#: Recipients of one message.
MOST_RECIPIENTS = 1000


class _Intake:
    """The handler that aiosmtpd calls."""

    def __init__(self, take: Callable[[Envelope], str]) -> None:
        self._take = take

    async def handle_RCPT(  # noqa: N802 the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Received, address: str, options: list[str]
    ) -> str:
        if "@" not in address:
            return "501 5.1.3 A recipient needs a domain"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Received) -> str:  # noqa: N802 as above
        content = envelope.original_content or b""
        sender = (envelope.mail_from or "").removeprefix("<>")  # so aiosmtpd spells the null reverse-path
        try:
            ids = [self._take(Envelope(sender, to, content)) for to in envelope.rcpt_tos]
        except OSError as error:
            return f"451 4.3.0 The message could not be kept: {error.strerror}"
        return f"250 2.0.0 Ok: queued as {' '.join(ids)[:400]}"


class SmtpServer:
    """Listens for mail. `take` gets each message once a recipient and returns its id, or raises `OSError`."""

    def __init__(self, hostname: str, take: Callable[[Envelope], str]) -> None:
        self._hostname = hostname
        self._intake = _Intake(take)
        self._server: asyncio.Server | None = None
        self._sessions: set[SMTP] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port (a free one was chosen if 0 was given). Raises `OSError`."""
        self._server = await asyncio.get_running_loop().create_server(self._session, host, port, backlog=200)
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def stop(self) -> None:
        """Stop listening and drop the sessions."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for session in tuple(self._sessions):
            if isinstance(session.transport, asyncio.Transport):
                session.transport.abort()
        self._sessions.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await server.wait_closed()

    def _session(self) -> SMTP:
        session = _Session(
            self._intake, hostname=self._hostname, ident="reference sender", data_size_limit=LARGEST_MESSAGE
        )
        # Not by looking at who has a transport: a session that was made a moment ago has none yet, and one that is
        # forgotten would take mail for a sender that has ended.
        session.sessions = self._sessions
        self._sessions.add(session)
        return session


class _Session(SMTP):
    """An SMTP session that strikes itself off the list of sessions when its connection is lost."""

    sessions: set[SMTP]

    def connection_lost(self, error: Exception | None) -> None:
        self.sessions.discard(self)
        super().connection_lost(error)
