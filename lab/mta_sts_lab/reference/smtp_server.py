"""Mail from the lab comes in here: SMTP on a listener, for any recipient, spooled before it is answered.

A message is marked as it comes in (RFC 8689, section 4.1): by REQUIRETLS on MAIL FROM, or else by its header.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Received

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.smtp_client import Envelope

#: Octets. The lab's messages have a few hundred.
LARGEST_MESSAGE = 10 * 1024 * 1024

#: Recipients of one message.
MOST_RECIPIENTS = 1000


class _Intake:
    """The handler that aiosmtpd calls."""

    def __init__(self, take: Callable[[Envelope], str], flaws: Flaws) -> None:
        self._take = take
        self._flaws = flaws

    async def handle_EHLO(  # noqa: N802 as below
        self, server: SMTP, session: Session, envelope: Received, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        secured = isinstance(server, _Session) and server.secured
        offers = ["DSN", "REQUIRETLS" if secured else "STARTTLS"]
        return [responses[0], *(f"250-{offer}" for offer in offers), *responses[1:]]

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
        options = {option.upper() for option in server.options} if isinstance(server, _Session) else set()
        mark = self._marks(content, options)
        whole = "RET=FULL" in options
        if self._flaws.repeats_tls_required and _tls_required(content):
            content = b"TLS-Required: No\r\n" + content
        try:
            of_last = self._flaws.takes_policy_of_last_recipient and len(envelope.rcpt_tos) > 1
            counting = envelope.rcpt_tos[-1].rpartition("@")[2] if of_last else ""
            ids = [self._take(Envelope(sender, to, content, *mark, whole, counting)) for to in envelope.rcpt_tos]
        except OSError as error:
            return f"451 4.3.0 The message could not be kept: {error.strerror}"
        return f"250 2.0.0 Ok: queued as {' '.join(ids)[:400]}"

    def _marks(self, content: bytes, options: set[str]) -> tuple[bool, bool]:
        """Tell whether a message requires TLS, and whether it waives it: the option overrides the header."""
        flaws = self._flaws
        required = "REQUIRETLS" in options
        values = _tls_required(content)
        says_no = len(values) == 1 and (values[0].lower() == "no" or flaws.takes_any_value_for_no)
        if flaws.ignores_tls_required:
            says_no = False
        if flaws.header_beats_requiretls and says_no:
            required = False
        return required, says_no and not required


#: The header field TLS-Required (RFC 8689, section 3), which may be folded.
_TLS_REQUIRED = re.compile(rb"^tls-required[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


def _tls_required(content: bytes) -> list[str]:
    header = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    return [value.decode("ascii", "replace").strip() for value in _TLS_REQUIRED.findall(header)]


class _Session(SMTP):
    """One connection, known to its server for as long as it lasts."""

    def __init__(
        self, intake: _Intake, hostname: str, context: ssl.SSLContext, open_sessions: set[asyncio.Transport]
    ) -> None:
        super().__init__(intake, hostname=hostname, ident="reference sender", data_size_limit=LARGEST_MESSAGE)
        self._context = context
        self._open_sessions = open_sessions
        #: Whether TLS is up.
        self.secured = False
        #: What the last MAIL said behind its address, of what is offered here and unknown to aiosmtpd.
        self.options: list[str] = []

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 the name is aiosmtpd's
        """Take REQUIRETLS inside TLS (RFC 8689), and RET (RFC 3461)."""
        taken = {"RET=FULL", "RET=HDRS", *(["REQUIRETLS"] if self.secured else [])}
        words = (arg or "").split()
        self.options = [word for word in words if word.upper() in taken]
        await super().smtp_MAIL(" ".join(word for word in words if word not in self.options) or None)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 as above
        """Take up TLS, and forget what was said before. aiosmtpd's own way of doing it fails from Python 3.11 on."""
        if arg or self.secured:
            await self.push("501 5.5.4 STARTTLS takes no parameters" if arg else "503 5.5.1 TLS is up already")
            return
        await self.push("220 2.0.0 Ready to start TLS")
        # Behind the handshake it is too late: what came with its last octets was said inside TLS.
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        await self._writer.start_tls(self._context)
        self.secured = True
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # type: ignore[attr-defined]
        self._set_rset_state()  # type: ignore[no-untyped-call, unused-ignore]
        self.session = self._create_session()

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
    context: ssl.SSLContext
    flaws: Flaws = NO_FLAWS
    _server: asyncio.Server | None = field(default=None, init=False)
    _open_sessions: set[asyncio.Transport] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._intake = _Intake(self.take, self.flaws)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port (a free one was chosen if 0 was given). Raises `OSError`."""

        def session() -> _Session:
            return _Session(self._intake, self.hostname, self.context, self._open_sessions)

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
