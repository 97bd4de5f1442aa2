"""The channel over real sockets: what the other end really sees."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from mta_sts_lab.reference.channel import (
    LONGEST_LINE,
    Channel,
    ChannelClosed,
    HandshakeFailed,
    Keep,
    everything,
    nothing,
    unfinished,
)


def contexts(*names: str, trusted: bool = True) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ca, other = trustme.CA(), trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    (ca if trusted else other).configure_trust(client)
    return server, client


async def against(peer: Callable[[socket.socket], Any], use: Callable[[Channel], Any]) -> Any:
    """Run a blocking peer in a thread and use a channel to it; return what the peer returned."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> Any:
            connection, _ = listener.accept()
            connection.settimeout(5)
            with connection:
                return peer(connection)

        serving = asyncio.create_task(asyncio.to_thread(serve))
        channel = await Channel.connect(*listener.getsockname())
        try:
            await use(channel)
        finally:
            await channel.close()
        return await serving


@pytest.mark.parametrize(
    ("names", "trusted", "version", "expected", "code"),
    [
        (("mx.example",), False, ssl.TLSVersion.TLSv1_3, "UNKNOWN_CA", 20),
        (("mx.example",), False, ssl.TLSVersion.TLSv1_2, "UNKNOWN_CA", 20),
        (("other.example",), True, ssl.TLSVersion.TLSv1_3, "ALERT", 62),
    ],
)
async def test_the_alert_really_leaves(
    names: tuple[str, ...], trusted: bool, version: ssl.TLSVersion, expected: str, code: int
) -> None:
    server, client = contexts(*names, trusted=trusted)
    server.maximum_version = version

    def peer(connection: socket.socket) -> str:
        with pytest.raises(ssl.SSLError) as caught, server.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)
        return str(caught.value)

    async def use(channel: Channel) -> None:
        with pytest.raises(HandshakeFailed) as caught:
            await channel.start_tls(client, "mx.example")
        assert caught.value.verify_code == code
        assert not channel.secured

    assert expected in await against(peer, use)


async def test_lines_both_ways_and_close_notify() -> None:
    server, client = contexts("mx.example")

    def peer(connection: socket.socket) -> tuple[bytes, bytes]:
        with server.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secured:
            secured.sendall(b"one\r\ntwo\nthr")
            secured.sendall(b"ee\r\n")
            # b"" and not SSLEOFError: the client said close_notify.
            return secured.recv(100), secured.recv(100)

    async def use(channel: Channel) -> None:
        await channel.start_tls(client, "mx.example")
        assert channel.secured
        assert channel.tls_version == "TLSv1.3"
        assert channel.peer_certificate()
        assert [await channel.read_line() for _ in range(3)] == [b"one", b"two", b"three"]
        await channel.write(b"hello\r\n")

    assert await against(peer, use) == (b"hello\r\n", b"")


@pytest.mark.parametrize(
    ("keep", "early", "kept"),
    [
        (nothing, b"250 early\r\n250-half", []),
        (everything, b"250 early\r\n", [b"250 early"]),
        (unfinished, b"250 early\r\n", []),
        (unfinished, b"250-a\r\n250 b\r\n250-early\r\n250-and ", [b"250-early", b"250-and 250 late"]),
        (unfinished, b"550 5.7.1 ", [b"550 5.7.1 250 late"]),
    ],
)
async def test_early_octets_are_discarded_unless_by_flaw(keep: Keep, early: bytes, kept: list[bytes]) -> None:
    server, client = contexts("mx.example")

    def peer(connection: socket.socket) -> None:
        connection.sendall(b"220 go\r\n" + early)
        with server.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"250 late\r\n")
            secured.recv(1)

    async def use(channel: Channel) -> None:
        assert await channel.read_line() == b"220 go"
        await channel.start_tls(client, "mx.example", keep_early=keep)
        expected = kept if kept and kept[-1].endswith(b"late") else [*kept, b"250 late"]
        assert [await channel.read_line() for _ in expected] == expected

    await against(peer, use)


async def test_garbage_instead_of_a_handshake_fails_without_a_verify_code() -> None:
    _, client = contexts("mx.example")

    def peer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"500 what?\r\n")

    async def use(channel: Channel) -> None:
        with pytest.raises(HandshakeFailed) as caught:
            await channel.start_tls(client, "mx.example")
        assert caught.value.verify_code is None

    await against(peer, use)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", ".example", ""])
async def test_an_impossible_server_name_is_a_failed_handshake(name: str) -> None:
    _, client = contexts("mx.example")

    async def use(channel: Channel) -> None:
        with pytest.raises(HandshakeFailed):
            await channel.start_tls(client, name)

    await against(lambda connection: connection.recv(10), use)


async def test_a_close_inside_the_handshake() -> None:
    _, client = contexts("mx.example")

    async def use(channel: Channel) -> None:
        with pytest.raises(HandshakeFailed, match="closed during"):
            await channel.start_tls(client, "mx.example")

    await against(lambda connection: connection.recv(1000), use)


async def test_an_endless_line_is_refused() -> None:
    async def use(channel: Channel) -> None:
        with pytest.raises(ChannelClosed, match=str(LONGEST_LINE)):
            await channel.read_line()

    await against(lambda connection: connection.sendall(b"x" * (LONGEST_LINE + 100)), use)


async def test_text_for_application_data_closes() -> None:
    server, client = contexts("mx.example")

    def peer(connection: socket.socket) -> None:
        with server.wrap_socket(connection.dup(), server_side=True) as secured:
            connection.sendall(b"250 in clear, inside TLS\r\n")
            secured.recv(100)

    async def use(channel: Channel) -> None:
        await channel.start_tls(client, "mx.example")
        with pytest.raises(ChannelClosed):
            await channel.read_line()

    with pytest.raises(ssl.SSLError):
        await against(peer, use)
