"""One SMTP session with a host of the lab that takes mail.

aiosmtpd speaks SMTP, and every command and reply goes on record. Four things are not as aiosmtpd has them. STARTTLS
stands on `mta_sts_lab.world.tls`; inside TLS it is neither offered nor taken (RFC 3207, section 4.2). AUTH is neither
offered nor taken: this is port 25. A null reverse-path is the empty string. An exception is the lab's, and recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import AnyStr, Protocol

from aiosmtpd.smtp import SMTP, Envelope, Session

from mta_sts_lab.events import DeadlinePassed, SenderLeft, SmtpSaid
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.rfc.require_tls import REQUIRETLS
from mta_sts_lab.timeouts import SESSION_IDLE
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.tls import ServerTls, Witness

#: Octets. The lab's own messages have a few hundred, and bounces quote them.
LARGEST_MESSAGE = 4 << 20

#: Octets of a command line and of one with MAIL's parameters (RFC 5321, section 4.5.3.1.4; RFC 1870 adds 26).
_LONGEST_COMMAND = 512 + 26

#: Commands of one kind in a session. The whole catalogue in one session would need fewer than 1000.
_MOST_COMMANDS = 1000

# aiosmtpd prints a traceback for every client that leaves during a handshake; that is on record already.
logging.getLogger("mail.log").addHandler(logging.NullHandler())
logging.getLogger("mail.log").propagate = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was received whole, with its envelope and the protection that it arrived under."""

    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    secured: bool
    certificate: str
    #: What MAIL said behind its address.
    options: tuple[str, ...] = ()


class TakesMail(Protocol):
    """What a session asks of the host that the client connected to."""

    name: str
    settings: MxHost

    def choose_credentials(self, settings: MxHost, sni: str) -> Credentials:
        """Return what is shown for a server name."""

    def takes_mail_for(self, recipient: str) -> bool:
        """Whether a recipient is the host's."""

    def is_new(self, recipient: str) -> bool:
        """Whether a recipient is named for the first time."""

    def hear_data(self, line: bytes, accepted: Accepted, via: str, secured: bool) -> None:
        """Take notice of one line of a message on its way in."""

    def accept(self, delivery: Delivery, accepted: Accepted, via: str) -> str:
        """Take responsibility for a message, and return the reply that says so."""

    def refuse(self, delivery: Delivery, accepted: Accepted) -> str:
        """Refuse a message that was read, and return the reply that says so."""


class ReceivingSession(SMTP):
    """aiosmtpd's protocol for one connection to one host, under the settings that the host had when it began."""

    def __init__(self, host: TakesMail, services: HostServices, accepted: Accepted, via: str) -> None:
        #: Set once the connection is gone.
        self.ended = asyncio.Event()
        self._host = host
        self._settings = host.settings
        self._services = services
        self._accepted = accepted
        self._via = via
        self._in_data = False
        self._left = False
        #: What the last MAIL said behind its address.
        self._mail_options: tuple[str, ...] = ()
        self._tls: ServerTls | None = None
        # aiosmtpd keeps these in the class and lets them grow with every EHLO of any session.
        self.command_size_limits = defaultdict(lambda: _LONGEST_COMMAND)
        super().__init__(
            handler=self,
            data_size_limit=LARGEST_MESSAGE,
            hostname=host.settings.calls_itself or host.name,
            ident="ESMTP",
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            command_call_limit=_MOST_COMMANDS,
            timeout=SESSION_IDLE.seconds,
            loop=asyncio.get_running_loop(),
        )
        del self._smtp_methods["AUTH"]

    @property
    def secured(self) -> bool:
        """Whether TLS is up."""
        return self._tls is not None and self._tls.established

    async def cut(self, transport: asyncio.BaseTransport) -> None:
        """End the connection, if it has not ended, and wait until nothing of the session runs any more."""
        if self._tls is not None:
            self._tls.give_up()
        if isinstance(transport, asyncio.Transport):
            transport.abort()
        await self.ended.wait()
        if self._tls is not None:
            await self._tls.closed.wait()
        if self._handler_coroutine is not None:
            (failure,) = await asyncio.gather(self._handler_coroutine, return_exceptions=True)
            if isinstance(failure, Exception):
                self._note(failure)

    # What is said goes on record.

    async def push(self, status: AnyStr) -> None:
        """Send a reply line."""
        text = status if isinstance(status, str) else status.decode("ascii", "backslashreplace")
        if self._settings.answers_after and text[3:4] != "-":
            await asyncio.sleep(self._settings.answers_after)
        for line in text.splitlines():
            self._record("mx", line)
        await super().push(status)

    def _cb_client_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super()._cb_client_connected(reader, writer)
        read_until = reader.readuntil

        async def hear_until(separator: bytes = b"\n") -> bytes:
            line = await read_until(separator)
            if self._in_data:
                self._host.hear_data(line, self._accepted, self._via, self.secured)
            else:
                self._record("sender", line.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))
            return line

        # aiosmtpd has no hook for a raw line, and makes its reader itself.
        reader.readuntil = hear_until  # type: ignore[method-assign, assignment]

    def _record(self, speaker: str, line: str) -> None:
        fact = SmtpSaid(session=self._accepted.session, speaker=speaker, line=line, secured=self.secured)
        self._accepted.recorder.write(fact, self._accepted.case)

    # What aiosmtpd does otherwise.

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name for the hook
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer size, eight bits and, in clear, STARTTLS; of a bare host STARTTLS alone."""
        session.host_name = hostname
        bare = self._settings.offers_tls_alone
        offers = [self.hostname, *([] if bare else [f"SIZE {LARGEST_MESSAGE}", "8BITMIME"])]
        if self._settings.starttls and not self.secured:
            offers.append("STARTTLS")
        if self._takes_requiretls:
            offers.append(REQUIRETLS)
        *others, last = offers if bare else [*offers, "HELP"]
        return [f"250-{offer}" for offer in others] + [f"250 {last}"]

    @property
    def _takes_requiretls(self) -> bool:
        return self._settings.requiretls == ("inside-tls" if self.secured else "in-clear")

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """Take REQUIRETLS where it is announced (RFC 8689, section 2), and no mail in clear if TLS is insisted on."""
        if self._settings.insists_on_tls and not self.secured:
            await self.push("530 5.7.0 Must issue a STARTTLS command first")
            return
        words = (arg or "").split()
        self._mail_options = tuple(words[1:])
        known = [word for word in words if not (self._takes_requiretls and word.upper() == REQUIRETLS)]
        await super().smtp_MAIL(" ".join(known) or None)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        """Take up TLS, and forget everything that was said before (RFC 3207, section 4.2)."""
        if self._tls is not None:
            await self.push("503 5.5.1 TLS is up already")
        elif not self._settings.starttls:
            await self.push("502 5.5.1 STARTTLS is not implemented here")
        elif arg:
            await self.push("501 5.5.4 STARTTLS takes no parameters")
        else:
            # The first line of what came with the command is on record before the reply, for which nobody waited then
            # (RFC 3207, section 4).
            waiting = bytes(self._reader._buffer) if self._reader is not None else b""  # type: ignore[attr-defined]
            if waiting:
                self._record("sender", waiting.splitlines()[0].decode("utf-8", "backslashreplace"))
            await self.push("220 2.0.0 Ready to start TLS")
            await self._start_tls()

    async def _start_tls(self) -> None:
        transport = self.transport
        assert isinstance(transport, asyncio.Transport)
        tls = ServerTls(
            self,
            self._services.certificates,
            lambda sni: self._host.choose_credentials(self._settings, sni),
            Witness(self._accepted.recorder, self._accepted.session, self._accepted.case),
            session_tickets=self._settings.session_tickets,
            version=self._settings.tls_version,
            null_ciphers=self._settings.null_ciphers,
            hear_clear_text=self._hear_clear_text,
        )
        self._tls = tls
        self._tls_protocol = tls  # type: ignore[assignment]  # aiosmtpd only reads its `_extra`
        self._original_transport = transport
        # What was sent behind the command in clear waits in aiosmtpd's buffer, which it empties when TLS is up. So much
        # of it may wait that reading was paused.
        transport.set_protocol(tls)
        transport.resume_reading()
        self.transport = tls
        tls.connection_made(transport)
        if not await tls.handshake() and not self.ended.is_set():
            # Only a protocol whose TLS was up is told that its connection is lost.
            self.connection_lost(None)

    def _hear_clear_text(self, octets: bytes) -> None:
        """Record the first line of what is said in clear where a handshake was agreed on; the handshake fails of it."""
        lines = octets.splitlines() or [b""]
        self._record("sender", lines[0][:_LONGEST_COMMAND].decode("utf-8", "backslashreplace"))

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Receive a message; its lines are not commands."""
        self._in_data = True
        try:
            await super().smtp_DATA(arg)
        finally:
            self._in_data = False

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take recipients of the host's own domain."""
        if not self._host.takes_mail_for(address):
            return f"550 5.7.1 {self.hostname} takes no mail for that domain"
        if self._settings.refuses == "recipients":
            return "550 5.1.1 No such recipient here"
        if self._settings.greylists and self._host.is_new(address):
            return "451 4.7.1 Greylisted: come again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the message."""
        content = envelope.original_content or b""
        mail_from = envelope.mail_from or ""
        delivery = Delivery(
            mail_from="" if mail_from == "<>" else mail_from,
            recipients=tuple(envelope.rcpt_tos),
            content=content,
            secured=self.secured,
            certificate=self._tls.shown.variant if self._tls and self._tls.shown else "",
            options=self._mail_options,
        )
        if self._settings.refuses == "messages":
            return self._host.refuse(delivery, self._accepted)
        return self._host.accept(delivery, self._accepted, self._via)

    async def handle_exception(self, error: Exception) -> str:
        """Put an exception of the lab's on record."""
        self._note(error)
        return "451 4.3.0 The lab has failed"

    def _note(self, error: Exception) -> None:
        # The client may leave at any time, in the midst of our reply.
        if not isinstance(error, OSError):
            where = f"SMTP session {self._accepted.session} with {self._accepted.host}"
            self._accepted.recorder.lab_failed(where, error, self._accepted.case, self._accepted.session)

    def _timeout_cb(self) -> None:
        fact = DeadlinePassed(
            deadline=SESSION_IDLE.name,
            seconds=SESSION_IDLE.seconds,
            waited_for=f"the next command in session {self._accepted.session}",
        )
        self._accepted.recorder.write(fact, self._accepted.case)
        super()._timeout_cb()  # type: ignore[no-untyped-call, unused-ignore]

    def eof_received(self) -> bool | None:
        """See `asyncio.Protocol`. The client has nothing more to say, and did not wait for us to end it."""
        if self.transport is not None and not self.transport.is_closing():
            self._see_it_leave()
        return super().eof_received()

    def _see_it_leave(self) -> None:
        if not self._left:
            self._left = True
            self._accepted.recorder.write(SenderLeft(session=self._accepted.session), self._accepted.case)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        if isinstance(error, ConnectionError):
            self._see_it_leave()  # by a reset: what we break off ourselves is lost without an error
        if not self.ended.is_set():
            super().connection_lost(error)
        self.ended.set()
