"""How failures of TLS are worded, and an alert that comes late."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from mta_sts_lab.events import LabFailed, TlsEstablished, TlsFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.host import Ground
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
        (ConnectionResetError, "connection closed"),
        (None, "connection closed"),
        (ConnectionAbortedError("SSL handshake is taking longer than 120 seconds"), "timed out"),
    ],
)
def test_wording(error: BaseException | type[BaseException] | None, words: str) -> None:
    assert wording(error) == words


class Bench:
    """A listening port with nothing but TLS on it."""

    def __init__(self, ground: Ground, recorder: Recorder) -> None:
        self.ground = ground
        self.recorder = recorder
        self.made: list[ServerTls] = []

    def choose(self, sni: str) -> Credentials | None:
        return self.ground.certificates.authority.credentials("valid", "mx1.c0ffee.example")

    def protocol(self) -> ServerTls:
        witness = Witness(self.recorder, f"s{len(self.made) + 1}", "")
        self.made.append(ServerTls(asyncio.Protocol(), self.ground.certificates, self.choose, witness))
        return self.made[-1]


async def test_an_alert_after_the_handshake_counts(ground: Ground, recorder: Recorder) -> None:
    """GnuTLS and others judge a certificate only when the handshake is over."""
    bench = Bench(ground, recorder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(bench.protocol, "127.0.0.1", 0)
    for late in (openssl("SSLV3_ALERT_BAD_CERTIFICATE"), openssl("UNEXPECTED_EOF_WHILE_READING"), None):
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=careless(), server_hostname="x")
        await seen(recorder, TlsEstablished, count=len(bench.made))
        # What asyncio's transport does with an error that comes out of OpenSSL.
        bench.made[-1]._fatal_error(late) if late else writer.close()
        await asyncio.wait_for(bench.made[-1].closed.wait(), 10)
        writer.transport.abort()
    server.close()
    await server.wait_closed()
    assert facts(recorder, TlsFailed) == [TlsFailed(session="s1", alert="bad certificate", certificate="valid")]


async def test_what_breaks_in_the_choice_of_a_certificate_is_a_lab_error(ground: Ground) -> None:
    recorder = Recorder()
    bench = Bench(ground, recorder)
    bench.choose = lambda sni: ground.certificates.authority.credentials("no such variant", "x")  # type: ignore[method-assign]
    server = await asyncio.get_running_loop().create_server(bench.protocol, "127.0.0.1", 0)
    with pytest.raises(ssl.SSLError, match="ALERT_INTERNAL_ERROR"):
        await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=careless(), server_hostname="x")
    (failed,) = await seen(recorder, LabFailed)
    assert "no such variant" in failed.error
    server.close()
    await server.wait_closed()
