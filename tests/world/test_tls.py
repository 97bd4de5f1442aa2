"""The TLS layer by itself: how failures are worded, late alerts, pauses, and ends."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from aiosmtpd.smtp import SMTP
from mta_sts_lab.events import LabFailed, TlsEstablished, TlsFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import Deadline
from mta_sts_lab.world import tls
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.tls import ServerTls, Witness, wording

from tests.world.clients import careless
from tests.world.watching import facts, seen


def openssl(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (openssl("TLSV1_ALERT_UNKNOWN_CA"), "unknown ca"),
        (openssl("SSLV3_ALERT_BAD_CERTIFICATE"), "bad certificate"),
        (openssl("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "certificate expired"),
        (openssl("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "certificate required"),
        (openssl("WRONG_VERSION_NUMBER"), "wrong version number"),
        (ConnectionResetError(), "connection closed"),
        (None, "connection closed"),
        (TimeoutError(), "timed out"),
    ],
)
def test_wording(error: BaseException | None, words: str) -> None:
    assert wording(error) == words


class Bench:
    """A listening port with nothing but TLS on it."""

    def __init__(self, services: HostServices, recorder: Recorder) -> None:
        self.services = services
        self.recorder = recorder
        self.made: list[ServerTls] = []
        self.application: asyncio.Protocol = asyncio.Protocol()

    def choose(self, sni: str) -> Credentials | None:
        return self.services.certificates.authority.credentials("valid", "mx1.c0ffee.example")

    async def first(self) -> bool:
        while not self.made:
            await asyncio.sleep(0)
        return await self.made[0].handshake()

    def protocol(self) -> ServerTls:
        witness = Witness(self.recorder, f"s{len(self.made) + 1}", "")
        self.made.append(ServerTls(self.application, self.services.certificates, self.choose, witness))
        return self.made[-1]


class Broken:
    """OpenSSL, when it finds something wrong with what the client has sent."""

    def __init__(self, error: ssl.SSLError) -> None:
        self.error = error

    def read(self, size: int) -> bytes:
        raise self.error


async def test_an_alert_after_the_handshake_counts(
    services: HostServices, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GnuTLS and others judge a certificate only when the handshake is over."""
    bench = Bench(services, recorder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(bench.protocol, "127.0.0.1", 0)
    for late in (openssl("SSLV3_ALERT_BAD_CERTIFICATE"), openssl("UNEXPECTED_EOF_WHILE_READING"), None):
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=careless(), server_hostname="x")
        await seen(recorder, TlsEstablished, count=len(bench.made))
        if late:
            monkeypatch.setattr(bench.made[-1], "_ssl", Broken(late))
            writer.write(b"anything")
        else:
            writer.close()
        await asyncio.wait_for(bench.made[-1].closed.wait(), 10)
        writer.transport.abort()
    server.close()
    await server.wait_closed()
    assert facts(recorder, TlsFailed) == [TlsFailed(session="s1", alert="bad certificate", certificate="valid")]


async def test_what_breaks_in_the_choice_of_a_certificate_is_a_lab_error(services: HostServices) -> None:
    recorder = Recorder()
    bench = Bench(services, recorder)
    bench.choose = lambda sni: services.certificates.authority.credentials("no such variant", "x")  # type: ignore[method-assign]
    server = await asyncio.get_running_loop().create_server(bench.protocol, "127.0.0.1", 0)
    with pytest.raises(ssl.SSLError, match="ALERT_INTERNAL_ERROR"):
        await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=careless(), server_hostname="x")
    (failed,) = await seen(recorder, LabFailed)
    assert "no such variant" in failed.error
    server.close()
    await server.wait_closed()


class Echo(asyncio.Protocol):
    """Sends back what it gets, and pauses reading while the client does not take it."""

    pauses = 0
    ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.pauses += 1
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        return False


async def test_much_data_with_pauses_arrives_whole_and_in_order(services: HostServices, recorder: Recorder) -> None:
    bench, echo = Bench(services, recorder), Echo()
    bench.application = echo
    server = await asyncio.get_running_loop().create_server(bench.protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=careless(), server_hostname="x", limit=1 << 12
    )
    sent = bytes(range(256)) * (1 << 16)  # more than the kernel's buffers hold

    async def send() -> None:
        for at in range(0, len(sent), 1 << 16):
            writer.write(sent[at : at + (1 << 16)])
            await writer.drain()

    sending = asyncio.create_task(send())
    async with asyncio.timeout(20):
        while not echo.pauses:  # the client reads nothing yet, so that all buffers fill
            await asyncio.sleep(0.001)
    assert await asyncio.wait_for(reader.readexactly(len(sent)), 20) == sent
    await sending
    assert not echo.ended
    writer.close()
    await asyncio.wait_for(bench.made[0].closed.wait(), 10)
    assert echo.ended
    assert facts(recorder, TlsFailed) == []
    server.close()
    await server.wait_closed()


async def test_a_client_that_does_not_say_goodbye_is_not_waited_for_long(
    services: HostServices, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "TLS_CLOSE", Deadline("tls-close", 0.05))
    bench = Bench(services, recorder)
    server = await asyncio.get_running_loop().create_server(bench.protocol, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    def connect() -> ssl.SSLSocket:
        return careless().wrap_socket(socket.create_connection(address, 10), server_hostname="x")

    client = await asyncio.to_thread(connect)
    await seen(recorder, TlsEstablished)
    bench.made[0].close()
    assert bench.made[0].is_closing()
    await asyncio.wait_for(bench.made[0].closed.wait(), 10)
    assert client.recv(1) == b"", "close_notify came before the end"
    client.close()
    server.close()
    await server.wait_closed()


async def test_a_handshake_that_never_begins_times_out(
    services: HostServices, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "SESSION_IDLE", Deadline("session-idle", 0.05))
    bench = Bench(services, recorder)
    server = await asyncio.get_running_loop().create_server(bench.protocol, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await asyncio.wait_for(bench.first(), 10) is False
    assert await seen(recorder, TlsFailed) == [TlsFailed(session="s1", alert="timed out")]
    writer.close()
    server.close()
    await server.wait_closed()


def test_the_private_names_that_the_lab_uses_are_still_there() -> None:
    """aiosmtpd has no hook for a raw line, for another TLS layer, nor for the end of its task."""
    smtp = SMTP(object(), loop=asyncio.new_event_loop())
    for name in ("_cb_client_connected", "_timeout_cb", "_handler_coroutine", "_smtp_methods"):
        assert hasattr(smtp, name), name
    for name in ("_tls_protocol", "_original_transport"):
        assert getattr(smtp, name) is None, name
    assert "AUTH" in smtp._smtp_methods
    assert isinstance(asyncio.Transport()._extra, dict), "aiosmtpd reads it of its TLS layer"  # type: ignore[attr-defined]
    smtp.loop.close()
