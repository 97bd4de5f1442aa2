"""A TCP connection that can become TLS in the middle, over memory buffers.

It is made by hand so that three things are certain: a fatal alert and a close_notify really leave, whatever is received
before the handshake can be thrown away to the last octet (RFC 3207, section 6), and nothing else sits in a buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from typing import TypeAlias

from mta_sts_lab.world.network import socket_family

_READ = 65536

#: Octets. RFC 5321 has 512 for a reply line; the longest that an honest server was seen to send is under 1,000.
LONGEST_LINE = 8192


#: Takes what was received before the handshake and returns what is kept of it.
Keep: TypeAlias = Callable[[bytes], bytes]


def nothing(early: bytes) -> bytes:
    """Keep nothing, as RFC 3207, section 6, demands."""
    return b""


def everything(early: bytes) -> bytes:
    """Flaw: keep it all."""
    return early


def unfinished(early: bytes) -> bytes:
    """Flaw: drop whole replies, and keep the beginning of one whose last line has not come."""
    *_, kept = re.split(rb"(?m)^\d{3} [^\n]*\n", early)
    return kept


class ChannelClosed(Exception):
    """The connection ended, was reset, or says what no protocol says."""


class HandshakeFailed(Exception):
    """TLS did not come about. `verify_code` is OpenSSL's where the certificate was the reason, else None."""

    def __init__(self, reason: str, verify_code: int | None = None) -> None:
        super().__init__(reason)
        self.verify_code = verify_code


class Channel:
    """One connection. Deadlines are the caller's: every call may be cancelled, after which only `close` makes sense."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.local_address: str = sock.getsockname()[0]

    @classmethod
    async def connect(cls, host: str, port: int) -> Channel:
        """Connect. Raises `OSError`."""
        sock = socket.socket(socket_family(host), socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            return cls(sock)
        except BaseException:
            sock.close()
            raise

    @property
    def secured(self) -> bool:
        """Whether TLS is up."""
        return self._tls is not None

    @property
    def tls_version(self) -> str:
        """The version in use, such as TLSv1.3; empty in clear."""
        return (self._tls.version() or "") if self._tls is not None else ""

    @property
    def has_ticket(self) -> bool:
        """Whether the peer has sent a session ticket."""
        session = self._tls.session if self._tls is not None else None
        return session is not None and session.has_ticket

    def peer_certificate(self) -> bytes:
        """The peer's certificate in DER; empty in clear."""
        return (self._tls.getpeercert(binary_form=True) or b"") if self._tls is not None else b""

    def peer_chain(self) -> list[bytes]:
        """The certificates that the peer has shown, in DER, its own first; empty in clear."""
        if self._tls is None:
            return []
        if hasattr(self._tls, "get_unverified_chain"):  # Python 3.13
            return list(self._tls.get_unverified_chain())
        shown = self._tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined, unused-ignore]
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in shown or ()]

    async def read_line(self) -> bytes:
        """Return the next line without its end. Raises `ChannelClosed`."""
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > LONGEST_LINE:
                raise ChannelClosed(f"a line of more than {LONGEST_LINE} octets")
            data = await self._receive()
            if not data:
                raise ChannelClosed("the connection was closed")
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line.removesuffix(b"\r")

    async def write(self, data: bytes) -> None:
        """Send. Raises `ChannelClosed`."""
        try:
            if self._tls is None:
                await self._loop.sock_sendall(self._sock, data)
            else:
                self._tls.write(data)
                await self._flush()
        except (OSError, ssl.SSLError) as error:
            raise ChannelClosed(f"the connection broke: {error}") from error

    async def start_tls(self, context: ssl.SSLContext, server_name: str | None, *, keep_early: Keep = nothing) -> None:
        """Do the handshake. Raises `HandshakeFailed`, after the alert has left.

        What was received before is discarded, but for what `keep_early` (a flaw) returns of it: that is read as if it
        came inside.
        """
        self._drain()
        self._received[:] = keep_early(bytes(self._received))
        try:
            tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        except ValueError as error:
            raise HandshakeFailed(f"{server_name!r} cannot be a server name: {error}") from error
        try:
            await self._handshake(tls)
        except OSError as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise HandshakeFailed(error.verify_message, error.verify_code) from error
            raise HandshakeFailed(_reason(error)) from error
        self._tls = tls

    async def close(self) -> None:
        """Say close_notify where there is TLS, and close. Never raises, never waits for the peer."""
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._tls is not None:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
                self._sock.send(self._outgoing.read())
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()

    async def _handshake(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._loop.sock_recv(self._sock, _READ)
                if not data:
                    raise ConnectionError("the connection was closed during the handshake") from None
                self._incoming.write(data)
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
            else:
                await self._flush()
                return

    async def _receive(self) -> bytes:
        try:
            if self._tls is None:
                return await self._loop.sock_recv(self._sock, _READ)
            while True:
                try:
                    return self._tls.read(_READ)
                except ssl.SSLWantReadError:
                    await self._flush()
                    data = await self._loop.sock_recv(self._sock, _READ)
                    if not data:
                        return b""
                    self._incoming.write(data)
                except ssl.SSLZeroReturnError:
                    return b""
        except OSError as error:
            with contextlib.suppress(OSError):
                await self._flush()
            raise ChannelClosed(f"the connection broke: {_reason(error)}") from error

    def _drain(self) -> None:
        """Take what has arrived already, without waiting."""
        while True:
            try:
                data = self._sock.recv(_READ)
            except OSError:
                return
            if not data:
                return
            self._received += data

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self._sock, self._outgoing.read())


def _reason(error: OSError) -> str:
    """The short wording of an error: OpenSSL's reason ("TLSV1_ALERT_INTERNAL_ERROR") or the system's."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error)
