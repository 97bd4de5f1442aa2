"""The server's side of TLS on one connection, with everything that the client shows of itself on record.

It stands on `ssl.MemoryBIO`. asyncio's TLS drops the alert that tells a client why its handshake failed (cpython issue
98078). Every connection has a context of its own, so that OpenSSL's server name callback knows which one it is about
and no session is ever resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from mta_sts_lab.events import ClientHelloSeen, TlsEstablished, TlsFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.client_hello import LARGEST_HELLO, is_ssl2_hello, parse_client_hello
from mta_sts_lab.timeouts import SESSION_IDLE, TLS_CLOSE
from mta_sts_lab.world.pki import Authority, Credentials, context_without_certificate, encrypt_nothing, server_context

#: Chooses what to show to a client that asks for a server name (empty: it names none); None aborts the handshake.
ChooseCredentials = Callable[[str], Credentials | None]

#: Octets that are decrypted at a time.
_READ = 32 * 1024

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

    def context(self, credentials: Credentials, *, null_ciphers: bool = False) -> ssl.SSLContext:
        """Return the context that shows these credentials; one with `null_ciphers` encrypts nothing."""
        if null_ciphers:
            return server_context(credentials, null_ciphers=True)
        if self.authority.key_log is not None:
            # One for each connection: it holds the file open as long as it lives.
            context = server_context(credentials)
            context.keylog_filename = str(self.authority.key_log)
            return context
        if credentials not in self._contexts:
            self._contexts[credentials] = server_context(credentials)
        return self._contexts[credentials]


class ServerTls(asyncio.Protocol, asyncio.Transport):
    """TLS between a transport and a server's own protocol: a protocol to the one, a transport to the other.

    The server's protocol gets it as its transport once the handshake is complete.
    """

    def __init__(
        self,
        application: asyncio.Protocol,
        certificates: Certificates,
        choose: ChooseCredentials,
        witness: Witness,
        alpn: Sequence[str] | None = None,
        session_tickets: int = 0,
        version: str = "",
        null_ciphers: bool = False,
        hear_clear_text: Callable[[bytes], None] = lambda octets: None,
    ) -> None:
        self.sni = ""
        self.shown: Credentials | None = None
        #: Whether TLS came up.
        self.established = False
        self.closed = asyncio.Event()
        self._application = application
        self._certificates = certificates
        self._choose = choose
        self._witness = witness
        #: Is given what comes in the place of a handshake.
        self._hear_clear_text = hear_clear_text
        self._outcome_known = self._given_up = self._closing = self._paused = False
        self._handshake_ended = asyncio.Event()
        self._raw: asyncio.Transport
        #: What has arrived of the handshake, up to the ClientHello.
        self._beginning: bytes | None = b""
        self._timer: asyncio.TimerHandle | None = None
        self._error: ssl.SSLError | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = context_without_certificate(alpn, self._on_client_hello)
        self._context.num_tickets = session_tickets
        if version:
            only = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
            self._context.minimum_version = self._context.maximum_version = only
        self._null_ciphers = null_ciphers
        if null_ciphers:
            encrypt_nothing(self._context)
        self._ssl = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        super().__init__(extra={"sslcontext": self._context, "ssl_object": self._ssl})

    async def handshake(self) -> bool:
        """Wait until the handshake has ended. False if it failed; the failure is on record then."""
        await self._handshake_ended.wait()
        return self.established

    def give_up(self) -> None:
        """Say that the lab itself is about to cut the connection, which is no failure of TLS."""
        self._given_up = True

    # The protocol, to the transport below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the client hello."""
        # A cast, because asyncio's own transports need not derive from it.
        self._raw = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(SESSION_IDLE.seconds, self._handshake_timed_out)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or pass on what was decrypted."""
        if self._beginning == b"" and data[:1].isalpha():
            self._hear_clear_text(data)
        if self._beginning is not None and len(self._beginning) < LARGEST_HELLO:
            self._beginning += data
        self._incoming.write(data)
        if self._closing:
            self._say_goodbye()
        elif self.established or self._shake_hands():
            self._read()

    def eof_received(self) -> bool:
        """Pass on that the client has ended the connection; the transport closes itself then."""
        if self.established and not self._closing:
            self._application.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is gone; before TLS was up that is a failed handshake."""
        self._stop_timer()
        self._closing = True
        if self.established:
            self._application.connection_lost(exc or self._error)
        else:
            self._fail(exc)
        self._context.sni_callback = None  # ends the circle of references between the context and this protocol
        self._handshake_ended.set()
        self.closed.set()

    def pause_writing(self) -> None:
        """Tell the server's protocol that the client reads too slowly."""
        if self.established:
            self._application.pause_writing()

    def resume_writing(self) -> None:
        """Tell it to go on."""
        if self.established:
            self._application.resume_writing()

    # The transport, to the server's protocol above.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport`."""
        return super().get_extra_info(name) or self._raw.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._closing or self._raw.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport`."""
        if data and not self.is_closing():
            self._ssl.write(data)
            self._flush()

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._paused = False
        self._raw.resume_reading()
        asyncio.get_running_loop().call_soon(self._read)

    def close(self) -> None:
        """Say close_notify, and close when the client has said it too, at the latest after `TLS_CLOSE`."""
        if not self.is_closing():
            self._closing = True
            self._timer = asyncio.get_running_loop().call_later(TLS_CLOSE.seconds, self._raw.abort)
            self._say_goodbye()

    def cut(self) -> None:
        """Close the connection behind what was written, without close_notify."""
        self._closing = True
        self._raw.close()

    def abort(self) -> None:
        """See `asyncio.WriteTransport`."""
        self._raw.abort()

    # What both need.

    def _on_client_hello(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        """Called by OpenSSL, which turns an exception into an alert: it must be put on record here."""
        try:
            self.sni = (name or "").lower()
            self._write_hello()
            self.shown = self._choose(self.sni)
            if self.shown is None:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = self._certificates.context(self.shown, null_ciphers=self._null_ciphers)
        except Exception as error:  # noqa: BLE001 - recorded
            witness = self._witness
            witness.recorder.lab_failed("choosing a certificate", error, witness.case, witness.session)
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    def _shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is complete."""
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._fail(error)
            self._raw.close()
            return False
        self._stop_timer()
        self._flush()
        self._outcome_known = self.established = True
        self._write(
            TlsEstablished(
                session=self._witness.session,
                version=str(self._ssl.version()),
                certificate=self._shown_variant(),
                sni=self.sni,
                cipher=(self._ssl.cipher() or ("",))[0],
            )
        )
        self._application.connection_made(self)
        self._handshake_ended.set()
        return True

    def _handshake_timed_out(self) -> None:
        self._fail(TimeoutError())
        self._raw.abort()

    def _read(self) -> None:
        while not self._paused and not self.is_closing():
            try:
                data = self._ssl.read(_READ)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._break(error)
                return
            if not data:
                self._application.eof_received()
                self.close()
                return
            self._application.data_received(data)
        self._flush()

    def _break(self, error: ssl.SSLError) -> None:
        """End a connection whose TLS broke after the handshake."""
        if _ALERT.search(error.reason or ""):
            self._write_failure(error)  # a client that judges the certificate only after the handshake
        self._error = error
        self._flush()
        self._raw.abort()

    def _say_goodbye(self) -> None:
        """Say close_notify, leave unread what still comes, and close once the client has said it too."""
        try:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while self._ssl.read(_READ):
                    pass
            self._ssl.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            self._raw.abort()
        else:
            self._flush()
            self._raw.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _shown_variant(self) -> str:
        return self.shown.variant if self.shown else ""

    def _write_hello(self) -> None:
        octets, self._beginning = self._beginning or b"", None
        fact = ClientHelloSeen(session=self._witness.session, sni=self.sni)
        if is_ssl2_hello(octets):
            fact = msgspec.structs.replace(fact, ssl2_form=True)
        elif (hello := parse_client_hello(octets)) is not None:
            suites, bare = hello.cipher_suites, hello.raw_public_keys
            fact = msgspec.structs.replace(
                fact, version=hello.version, cipher_suites=suites, raw_public_keys=bare, resumes=hello.resumes
            )
        self._write(fact)

    def _fail(self, error: BaseException | None) -> None:
        if is_ssl2_hello(self._beginning or b""):
            self._write_hello()  # OpenSSL has not taken it for a hello at all
        if not self._outcome_known and not self._given_up:
            self._outcome_known = True
            self._write_failure(error)

    def _write_failure(self, error: BaseException | None) -> None:
        fact = TlsFailed(session=self._witness.session, alert=wording(error), certificate=self._shown_variant())
        self._write(fact)

    def _write(self, fact: ClientHelloSeen | TlsEstablished | TlsFailed) -> None:
        self._witness.recorder.write(fact, self._witness.case)


def wording(error: BaseException | None) -> str:
    """Say in a few words why a handshake failed: the client's alert as OpenSSL words it, cut to its end.

    For example `unknown ca`, `bad certificate`, `certificate expired`; without an alert what was wrong with what the
    client sent (`wrong version number`), `connection closed` or `timed out`.
    """
    if isinstance(error, ssl.SSLError) and error.reason:
        alert = _ALERT.search(error.reason)
        return (alert["wording"] if alert else error.reason).replace("_", " ").lower()
    return "timed out" if isinstance(error, TimeoutError) else "connection closed"
