"""The attacker's TLS, on mitmproxy's layers: which certificate is shown, and the result of the handshake.

mitmproxy sends neither the alert of a handshake that fails nor a close_notify (its issue 7476), and does not end a
connection over the target's own alert; each would change what the target sees, so the layers here do it. With a
mitmproxy that does so itself nothing is sent twice.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import tls
from OpenSSL import SSL

from mta_sts_lab.attacks.toolkit.instructions import Shown
from mta_sts_lab.attacks.toolkit.tls_wire import alert_words, answers_with_certificate
from mta_sts_lab.events import AnyFact, TlsEstablished, TlsFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.path import Accepted, Host
from mta_sts_lab.world.pki import Authority, Credentials

#: Everything that OpenSSL has, without the anonymous suites of "ALL" (under which a client that offers them, as Postfix
#: does, is shown no certificate), at a security level that lets TLS 1.0 work.
_CIPHERS = b"DEFAULT:@SECLEVEL=0"

_VERSIONS = {"1.0": SSL.TLS1_VERSION, "1.1": SSL.TLS1_1_VERSION}

#: Alerts that are no error: close_notify, user_canceled, no_renegotiation (RFC 8446, section 6.1; RFC 5246, 7.2.2).
_NO_COMPLAINT = (0, 90, 100)

#: The reason in an error of pyOpenSSL as mitmproxy words it: the last string of the last tuple.
_REASON = re.compile(r"'([^']*)'\)\]\)$")


def server_connection(
    shown: Shown, credentials: Credentials, on_alert: Callable[[str], None], key_log: Path | None = None
) -> SSL.Connection:
    """Return the TLS server that is played for the target. `on_alert` hears the words of each alert that it sends.

    The secrets of the session go into `key_log`; those of the session behind are in the genuine host's.
    """
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.set_cipher_list(_CIPHERS)
    # A resumed session shows no certificate.
    server.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    server.set_options(SSL.OP_NO_TICKET)
    version = _VERSIONS.get(shown.only_version)
    server.set_min_proto_version(version or SSL.TLS1_VERSION)
    if version is not None:
        server.set_max_proto_version(version)
    own, *issuers = x509.load_pem_x509_certificates(credentials.chain_pem)
    server.use_certificate(own)
    for issuer in issuers:
        server.add_extra_chain_cert(issuer)
    server.use_privatekey(_private_key(credentials.key_pem))

    def watch(_: SSL.Connection, where: int, value: int) -> None:
        if where & SSL.SSL_CB_READ_ALERT == SSL.SSL_CB_READ_ALERT and value & 0xFF not in _NO_COMPLAINT:
            on_alert(alert_words(value & 0xFF))

    server.set_info_callback(watch)
    if key_log is not None:
        server.set_keylog_callback(lambda _, line: _append(key_log, line))
    played = SSL.Connection(server)
    played.set_accept_state()
    return played


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line + b"\n")


def client_connection(server_name: str) -> SSL.Connection:
    """Return a TLS client towards the genuine host. It verifies nothing: it is the lab's own host, on loopback."""
    client = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client.set_verify(SSL.VERIFY_NONE)
    played = SSL.Connection(client)
    if server_name:
        played.set_tlsext_host_name(server_name.encode())
    played.set_connect_state()
    return played


def _private_key(key_pem: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(key_pem, None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError(f"no key for a TLS server: {type(key).__name__}")
    return key


def last_words(error: str) -> str:
    """Cut mitmproxy's wording of a failed handshake to what OpenSSL said last ("unsupported protocol")."""
    if error.startswith("Cannot parse ClientHello"):
        return "not a ClientHello"
    reason = _REASON.search(error)
    return reason.group(1) if reason else error


@dataclass(frozen=True, slots=True)
class AttackedConnection:
    """One connection under attack, the genuine host behind it, the record and the CA."""

    accepted: Accepted
    host: Host
    recorder: Recorder
    authority: Authority

    def record(self, fact: AnyFact) -> None:
        """Record a fact of this case."""
        self.recorder.write(fact, self.accepted.case)

    def failed(self, where: str, error: BaseException) -> None:
        """Record an exception of the lab's own."""
        accepted = self.accepted
        self.recorder.lab_failed(f"attack on {accepted.host}: {where}", error, accepted.case, accepted.session)


class Handshake:
    """The TLS server for the target: sets it up when TLS begins, and records the result."""

    def __init__(self, attacked: AttackedConnection, attack: str, shown: Shown, fire: Callable[[str], None]) -> None:
        self._attacked = attacked
        self._attack = attack
        self._shown = shown
        self._fire = fire
        self._complaints = 0
        self._dismissed = False

    def connection(self) -> SSL.Connection:
        """Return the TLS server, for the certificate that is to be shown."""
        credentials = self._attacked.authority.credentials(self._shown.certificate, self._attacked.host.name)
        return server_connection(self._shown, credentials, self._alerted, self._attacked.authority.key_log)

    def answered(self, octets: bytes) -> None:
        """Record that the attack took effect, if octets to the target hold the certificate or `fires_on_answer`."""
        if self._shown.fires_on_answer or answers_with_certificate(octets):
            self._fire(self._shown.detail)

    def established(self, version: str, sni: str) -> None:
        """The handshake is finished on this side."""
        self._attacked.record(
            TlsEstablished(
                session=self._attacked.accepted.session,
                version=version,
                certificate=self._shown.certificate,
                shown_by=self._attack,
                sni=sni,
            )
        )

    def _alerted(self, words: str) -> None:
        # Under TLS 1.3 the target refuses a certificate after the handshake (RFC 8446, section 4.4.2.4).
        self._complaints += 1
        self._attacked.record(
            TlsFailed(session=self._attacked.accepted.session, alert=words, certificate=self._shown.certificate)
        )

    def handshake_failed(self, reason: str) -> None:
        """Record that the handshake failed, unless an alert of the target has been recorded."""
        if not self._complaints and not self._dismissed:
            self._alerted(reason)

    def dismiss(self) -> None:
        """Note that the session is ended from outside: an unfinished handshake is then no failure."""
        self._dismissed = True


class _Mended(tls.TLSLayer):
    """Sends and hears alerts as RFC 8446, section 6 has them."""

    def receive_data(self, data: bytes) -> layer.CommandGenerator[None]:
        """Take octets. A fatal alert ends the connection; mitmproxy would only log it, and wait for ever."""
        yield from super().receive_data(data)
        yield from self.tls_interact()
        if self.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN and self.conn.state & ConnectionState.CAN_READ:
            self.conn.state &= ~ConnectionState.CAN_READ
            yield from self.event_to_child(events.ConnectionClosed(self.conn))

    def send_data(self, data: bytes) -> layer.CommandGenerator[None]:
        """Send inside TLS. Nothing is sent if the session ended during the handshake.

        mitmproxy hands out what it held back for the handshake even when that failed, and OpenSSL would not take it.
        """
        if self.conn.tls_established:
            yield from super().send_data(data)

    def take_leave(self) -> layer.CommandGenerator[None]:
        """End TLS on this side (RFC 8446, section 6.1); the connection stays open."""
        if self.tls and self.conn.tls_established:
            with contextlib.suppress(SSL.Error):
                self.tls.shutdown()
            yield from self.tls_interact()

    def send_close(self, command: commands.CloseConnection) -> layer.CommandGenerator[None]:
        """Close, with close_notify first, so that a strict peer sees no truncation."""
        yield from self.take_leave()
        yield from super().send_close(command)


class TargetTls(_Mended, tls.ClientTLSLayer):
    """TLS with the target, which ends here.

    With `stays_open` a failed handshake does not close the connection, as long as the target keeps it open: `failed`
    says that whoever made this layer is to go on in clear.
    """

    def __init__(self, here: context.Context, handshake: Handshake, stays_open: bool = False) -> None:
        super().__init__(here)
        self._handshake = handshake
        self._stays_open = stays_open
        self.failed = False

    def tls_interact(self) -> layer.CommandGenerator[None]:
        """Send the octets of OpenSSL; `answered` sees them first."""
        for command in super().tls_interact():
            if isinstance(command, commands.SendData):
                self._handshake.answered(command.data)
            yield command

    def on_handshake_error(self, err: str) -> layer.CommandGenerator[None]:
        """Send OpenSSL's alert, then close the connection, or leave it open for clear text."""
        if self.tls:
            yield from self.tls_interact()
        self._handshake.handshake_failed(last_words(err))
        stays_open = self._stays_open and self.conn.connected
        for command in super().on_handshake_error(err):
            if not (stays_open and isinstance(command, commands.CloseConnection)):
                yield command
        self.failed = stays_open

    def receive_data(self, data: bytes) -> layer.CommandGenerator[None]:
        """Take octets from inside TLS. Those of a failed handshake are ignored."""
        if self.conn.tls_established:
            yield from super().receive_data(data)


class ReceiverTls(_Mended, tls.ServerTLSLayer):
    """TLS with the genuine host, which begins here."""
