from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from mta_sts_lab.reference.smtp_client import Envelope, SmtpBroken, SmtpClient, SmtpRefused, StarttlsRefused


@contextlib.asynccontextmanager
async def server(*replies: bytes) -> AsyncIterator[tuple[tuple[str, int], list[bytes]]]:
    """Answers line after line from a list, the greeting first; afterwards it is silent."""
    heard: list[bytes] = []
    ended = asyncio.Event()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with contextlib.suppress(OSError):
            for reply in replies:
                writer.write(reply)
                heard.append(await reader.readline())
            await ended.wait()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname(), heard
    finally:
        ended.set()
        listening.close()
        await asyncio.gather(*serving)


async def test_helo_for_a_server_without_ehlo() -> None:
    async with server(b"220 hi\r\n", b"502 what\r\n", b"250 fine\r\n") as (address, heard):
        client = await SmtpClient.open(address, "me.example", 2)
        assert not client.offers_starttls
        assert heard == [b"EHLO me.example\r\n", b"HELO me.example\r\n"]
        await client.channel.close()


async def test_extensions_are_read_in_any_case() -> None:
    async with server(b"220 hi\r\n", b"250-me\r\n250-size 10\r\n250 StartTLS\r\n") as (address, _):
        client = await SmtpClient.open(address, "me.example", 2)
        assert client.offers_starttls
        assert client.extensions == {"SIZE": "10", "STARTTLS": ""}
        await client.channel.close()


@pytest.mark.parametrize(
    "reply", [b"200 go\r\n", b"221 go\r\n", b"250 go\r\n", b"354 go\r\n", b"454 no\r\n", b"501 no\r\n"]
)
async def test_only_220_starts_tls(reply: bytes) -> None:
    import ssl

    async with server(b"220 hi\r\n", b"250-me\r\n250 STARTTLS\r\n", reply) as (address, heard):
        client = await SmtpClient.open(address, "me.example", 2)
        with pytest.raises(StarttlsRefused):
            await client.start_tls(ssl.create_default_context(), "mx.example")
        assert heard[1:] == [b"STARTTLS\r\n"]
        assert not client.channel.secured
        await client.channel.close()


@pytest.mark.parametrize("greeting", [b"421 busy\r\n", b"554 no\r\n", b"354 eh\r\n"])
async def test_a_greeting_that_is_none(greeting: bytes) -> None:
    async with server(greeting) as (address, heard):
        with pytest.raises(SmtpRefused):
            await SmtpClient.open(address, "me.example", 2)
        assert [line for line in heard if line] == []


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 200 OK\r\n", b"\xff\xfe\r\n", b"99 x\r\n", b"2200 x\r\n", b"220-x\r\n" * 300]
)
async def test_nonsense_breaks(greeting: bytes) -> None:
    async with server(greeting) as (address, _):
        with pytest.raises(SmtpBroken):
            await SmtpClient.open(address, "me.example", 2)


async def test_silence_ends_in_time() -> None:
    async with server() as (address, _):
        with pytest.raises(SmtpBroken, match="in time"):
            await SmtpClient.open(address, "me.example", 0.1)


async def test_a_line_end_in_an_address_is_never_sent() -> None:
    async with server(b"220 hi\r\n", b"250 me\r\n", b"250 ok\r\n") as (address, heard):
        client = await SmtpClient.open(address, "me.example", 2)
        with pytest.raises(SmtpBroken, match="line end"):
            await client.say_envelope(Envelope("a@b\r\nRSET", "c@d", b""))
        assert len(heard) == 1
        await client.channel.close()


async def test_dots_are_stuffed_and_line_ends_made_crlf() -> None:
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 hi\r\n", b"250 me\r\n", b"250 a\r\n", b"250 b\r\n", b"354 go\r\n"):
            writer.write(reply)
            if not reply.startswith(b"354"):
                await reader.readline()
        got.set_result(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 2.0.0 mine\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = await SmtpClient.open(listening.sockets[0].getsockname(), "me.example", 2)
    reply = await client.send(Envelope("", "c@d", b".one\ntwo\r\n..\rthree"))
    assert reply.text == "250 2.0.0 mine"
    assert await got == b"..one\r\ntwo\r\n...\r\nthree\r\n.\r\n"
    await client.channel.close()
    await ended.wait()
    listening.close()
