"""Mail from the lab comes in here: SMTP on a listener, for any recipient, spooled before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Received

from mta_sts_lab.reference.smtp_client import Envelope

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


class _Session(SMTP):
    """One connection, known to its server for as long as it lasts."""

    def __init__(self, intake: _Intake, hostname: str, open_sessions: set[asyncio.Transport]) -> None:
        super().__init__(intake, hostname=hostname, ident="reference sender", data_size_limit=LARGEST_MESSAGE)
        self._open_sessions = open_sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = cast(asyncio.Transport, transport)
        self._open_sessions.add(self._connection)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_sessions.discard(self._connection)
        super().connection_lost(error)


@dataclass(eq=False, repr=False)
class SmtpServer:
    """Listens for mail. `take` gets each message once a recipient and returns its id, or raises `OSError`."""

    hostname: str
    take: Callable[[Envelope], str]
    _server: asyncio.Server | None = field(default=None, init=False)
    _open_sessions: set[asyncio.Transport] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._intake = _Intake(self.take)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port (a free one was chosen if 0 was given). Raises `OSError`."""

        def session() -> _Session:
            return _Session(self._intake, self.hostname, self._open_sessions)

        self._server = await asyncio.get_running_loop().create_server(session, host, port, backlog=200)
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def stop(self) -> None:
        """Stop listening and drop the sessions."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        # A connection that was accepted in this very moment becomes a session one step of the loop later.
        await asyncio.sleep(0)
        for transport in tuple(self._open_sessions):
            transport.abort()
        while self._open_sessions:  # noqa: ASYNC110 an abort takes effect at the loop's next step, and tells nobody
            await asyncio.sleep(0)
