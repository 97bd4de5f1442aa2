"""The server's side of TLS on one connection, with everything that the client shows of itself on record.

This stands on asyncio's own TLS layer and mends what would change what a target sees: asyncio drops the alert that
tells a client why its handshake failed (cpython issue 98078). Every connection has a context of its own, so that
OpenSSL's server name callback knows which one it is about and no session is ever resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from asyncio import sslproto
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mta_sts_lab.events import ClientHelloSeen, TlsEstablished, TlsFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import SESSION_IDLE, TLS_CLOSE
from mta_sts_lab.world.pki import Authority, Credentials, context_without_certificate, server_context

#: Chooses what to show to a client that asks for a server name (empty: it names none); None aborts the handshake.
ChooseCredentials = Callable[[str], Credentials | None]

_ALERT = re.compile(r"(?:^|_)ALERT_(?P<wording>\w+)$")


@dataclass(frozen=True, slots=True)
class Witness:
    """Where a connection's TLS events go."""

    recorder: Recorder
    session: str
    case: str


class Certificates:
    """TLS contexts by what they show. Making one takes a millisecond, so each is made once."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._contexts: dict[Credentials, ssl.SSLContext] = {}

    def context(self, credentials: Credentials) -> ssl.SSLContext:
        """Return the context that shows these credentials."""
        if credentials not in self._contexts:
            self._contexts[credentials] = server_context(credentials)
        return self._contexts[credentials]


class ServerTls(sslproto.SSLProtocol):  # type: ignore[misc, unused-ignore]  # asyncio's, but in no documented module
    """A protocol between a transport and a server's own protocol, which it gives a transport once TLS is up."""

    #: Octets of the read buffer. asyncio's own 256 KiB would be most of what a case costs.
    max_size = 32 * 1024

    def __init__(
        self,
        application: asyncio.Protocol,
        certificates: Certificates,
        choose: ChooseCredentials,
        witness: Witness,
        alpn: Sequence[str] | None = None,
    ) -> None:
        self.sni = ""
        self.shown: Credentials | None = None
        #: Whether TLS came up.
        self.established = False
        self.closed = asyncio.Event()
        self._certificates = certificates
        self._choose = choose
        self._witness = witness
        self._outcome_known = False
        self._given_up = False
        loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = loop.create_future()
        super().__init__(
            loop,
            application,
            context_without_certificate(alpn, self._on_client_hello),
            self._finished,
            server_side=True,
            ssl_handshake_timeout=int(SESSION_IDLE.seconds),
            ssl_shutdown_timeout=int(TLS_CLOSE.seconds),
        )

    async def handshake(self) -> bool:
        """Wait until the handshake has ended. False if it failed; the failure is on record then."""
        with contextlib.suppress(OSError):
            await self._finished
        return self.established

    def give_up(self) -> None:
        """Say that the lab itself is about to cut the connection, which is no failure of TLS."""
        self._given_up = True

    def _on_client_hello(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        """Called by OpenSSL, which turns an exception into an alert: it must be put on record here."""
        try:
            self.sni = (name or "").lower()
            self._write(ClientHelloSeen(session=self._witness.session, sni=self.sni))
            self.shown = self._choose(self.sni)
            if self.shown is None:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = self._certificates.context(self.shown)
        except Exception as error:  # noqa: BLE001 - recorded
            self._witness.recorder.lab_failed("choosing a certificate", error, self._witness.case)
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    # From here on: asyncio's own methods, extended.

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is None:
            self._outcome_known = self.established = True
            version = str(self._sslobj.version())  # type: ignore[attr-defined, unused-ignore]
            variant = self.shown.variant if self.shown else ""
            self._write(
                TlsEstablished(session=self._witness.session, version=version, certificate=variant, sni=self.sni)
            )
        else:
            # The alert, which asyncio leaves behind.
            self._process_outgoing()  # type: ignore[attr-defined, unused-ignore]
            self._fail(handshake_exc)
        super()._on_handshake_complete(handshake_exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.BaseProtocol`."""
        if not self._outcome_known:
            self._fail(exc)
            # asyncio would report success here if the connection was merely cut.
            self._wakeup_waiter(exc or ConnectionResetError("cut during the handshake"))
        elif self.established and isinstance(exc, ssl.SSLError) and _ALERT.search(exc.reason or ""):
            self._write_failure(exc)  # a client that judges the certificate only after the handshake
        super().connection_lost(exc)
        self._sslcontext.sni_callback = None  # ends the circle of references between the context and this protocol
        if self._finished.done() and not self._finished.cancelled():
            self._finished.exception()  # whether anybody waited or not, the failure is on record
        self.closed.set()

    def _fail(self, error: BaseException | type[BaseException] | None) -> None:
        if not self._outcome_known and not self._given_up:
            self._outcome_known = True
            self._write_failure(error)

    def _write_failure(self, error: BaseException | type[BaseException] | None) -> None:
        variant = self.shown.variant if self.shown else ""
        self._write(TlsFailed(session=self._witness.session, alert=wording(error), certificate=variant))

    def _write(self, fact: ClientHelloSeen | TlsEstablished | TlsFailed) -> None:
        self._witness.recorder.write(fact, self._witness.case)


def wording(error: BaseException | type[BaseException] | None) -> str:
    """Say in a few words why a handshake failed: the client's alert as OpenSSL words it, cut to its end.

    For example `unknown ca`, `bad certificate`, `certificate expired`; without an alert what was wrong with what the
    client sent (`wrong version number`), `connection closed` or `timed out`.
    """
    if isinstance(error, ssl.SSLError) and error.reason:
        alert = _ALERT.search(error.reason)
        return (alert["wording"] if alert else error.reason).replace("_", " ").lower()
    return "timed out" if isinstance(error, ConnectionAbortedError) else "connection closed"
