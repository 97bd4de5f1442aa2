"""The remote target against the reference sender's own server, and against servers that break the contract."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mta_sts_lab.reference.server import build_application
from mta_sts_lab.targets.contract import InjectionRefusedError, NotNow, NotOffered, TargetError
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.targets.remote import RemoteTarget

from tests.reference.standin import Internet, sender, until


@contextlib.asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def remote(
    contract_port: int, smtp_port: int = 1, call_seconds: float = 5.0, reports_seconds: float = 5.0
) -> AsyncIterator[RemoteTarget]:
    target = RemoteTarget(
        "127.0.0.1",
        contract_port=contract_port,
        inject=Inject(port=smtp_port),
        call_seconds=call_seconds,
        reports_seconds=reports_seconds,
    )
    try:
        yield target
    finally:
        await target.close()


async def test_a_queue_in_u_labels_is_read_in_a_labels() -> None:
    """The lab hands over A-labels, and has to find its messages again; chasquid and Courier turn them into U-labels."""
    row = {"id": "1", "sender": "a@sender.example", "recipient": "B@b\u00fcro2.example", "state": "deferred"}
    body = json.dumps({"messages": [row]}).encode()
    async with serving(answering("/queue", "GET", body=body)) as port, remote(port) as target:
        (held,) = await target.queue()
    assert held.recipient == "B@xn--bro2-0ra.example"


async def test_a_log_is_read_whole() -> None:
    """The catalogue on Postfix leaves two MiB; the finding of the first case may be about the first line."""
    lines = "".join(f"line {number} of the log\n" for number in range(400_000))
    async with serving(answering("/logs", "GET", body=lines.encode())) as port, remote(port) as target:
        assert await target.logs() == lines


async def test_the_whole_contract(internet: Internet, tmp_path: Path) -> None:
    internet.dns.rcodes["there.example", "MX"] = "SERVFAIL"
    async with (
        sender(internet, tmp_path, no_fail_over=True) as local,
        serving(build_application(local.sender)) as port,
        remote(port, local.sender.address[1]) as target,
    ):
        await target.greet()
        about = await target.about()
        assert about == await local.about()
        assert about.name == "reference (no_fail_over)"
        assert about.capabilities == (await local.about()).capabilities != ()
        await asyncio.gather(
            *(target.inject("a@sender.example", f"{number}@there.example", b"x: y\r\n\r\n") for number in range(30))
        )
        await until(lambda: all(not one.active for one in local.sender.queue()))
        held = await target.queue()
        assert {one.recipient for one in held} == {f"{number}@there.example" for number in range(30)}
        assert {(one.sender, one.state) for one in held} == {("a@sender.example", "deferred")}
        assert "SERVFAIL" in held[0].reason
        await target.advance(60)
        assert local.sender.clock.offset == 60
        await target.reports()
        assert "deferred" in await target.logs()
        internet.dns.rcodes.clear()
        await target.flush()
        await until(lambda: len(internet.mx1.taken) == 30)
        with pytest.raises(TargetError, match="unknown signal"):
            await target.restart("HUP")
        with pytest.raises(TargetError, match="ten years"):
            await target.advance(-1)


async def test_injection_goes_on_after_the_target_closed_its_connections(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as local, serving(build_application(local.sender)) as port:
        local.sender.listen = local.sender.address  # a restart must come back on the same port
        async with remote(port, local.sender.address[1]) as target:
            await target.inject("a@sender.example", "one@there.example", b"x: y\r\n\r\n")
            await target.restart("KILL")
            await target.inject("a@sender.example", "two@there.example", b"x: y\r\n\r\n")
            await until(lambda: len(internet.mx1.taken) == 2)
            with pytest.raises(InjectionRefusedError, match="501"):
                await target.inject("a@sender.example", "nobody", b"x: y\r\n\r\n")


def answering(path: str, method: str, **answer: Any) -> web.Application:
    application = web.Application()

    async def handle(request: web.Request) -> web.Response:
        return web.Response(**answer)

    application.router.add_route(method, path, handle)
    return application


async def test_the_end_of_a_long_error_is_kept() -> None:
    """The last line of a traceback says what was wrong with a hook; its first lines say nothing."""
    error = f"hook 'queue' failed with exit status 1: Traceback {'x' * 900} KeyError: 'state'"
    body = json.dumps({"error": error}).encode()
    async with serving(answering("/queue", "GET", body=body, status=500)) as port, remote(port) as target:
        with pytest.raises(TargetError, match=r"hook 'queue' failed with .* \.\.\. .*KeyError: 'state'$"):
            await target.queue()


GARBAGE = [
    b"",
    b"not json",
    b"[]",
    b"{}",
    b'{"messages": [{"id": "1"}]}',
    b'{"messages": [{"id": "1", "sender": "a", "recipient": "b", "state": "gone"}]}',
    b'{"messages": {"a": 1}}',
    b'{"messages": "\xff"}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_a_target_error(body: bytes) -> None:
    async with serving(answering("/queue", "GET", body=body)) as port, remote(port) as target:
        with pytest.raises(TargetError, match=r"/queue: the answer does not keep the contract"):
            await target.queue()


async def test_another_contract_is_refused() -> None:
    body = b'{"contract": 2, "name": "x"}'
    async with serving(answering("/about", "GET", body=body)) as port, remote(port) as target:
        with pytest.raises(TargetError, match="version 2 of the contract"):
            await target.about()


async def test_what_is_missing_is_not_offered() -> None:
    async with serving(web.Application()) as port, remote(port) as target:
        for call in (target.queue(), target.flush(), target.restart("TERM"), target.advance(1), target.reports()):
            with pytest.raises(NotOffered, match="does not offer"):
                await call


async def test_a_flush_that_cannot_be_done_now_is_told_apart() -> None:
    async with serving(answering("/flush", "POST", body=b'{"flushed": false}')) as port, remote(port) as target:
        with pytest.raises(NotNow, match="/flush: not now"):
            await target.flush()


async def test_nothing_is_injected_while_the_target_flushes(internet: Internet, tmp_path: Path) -> None:
    flushing, let_go = asyncio.Event(), asyncio.Event()
    application = web.Application()

    async def flush(request: web.Request) -> web.Response:
        flushing.set()
        await let_go.wait()
        return web.Response(body=b'{"flushed": true}')

    application.router.add_post("/flush", flush)
    async with (
        sender(internet, tmp_path) as local,
        serving(application) as port,
        remote(port, local.sender.address[1]) as target,
    ):
        flushed = asyncio.create_task(target.flush())
        await flushing.wait()
        injected = [asyncio.create_task(target.inject("a@sender.example", "b@there.example", b"x: y\r\n\r\n"))]
        done, _ = await asyncio.wait(injected, timeout=0.1)
        assert not done
        assert internet.mx1.taken == []
        let_go.set()
        await flushed
        await asyncio.gather(*injected)
        await until(lambda: len(internet.mx1.taken) == 1)


@pytest.mark.parametrize("status", [201, 302, 400, 500, 503])
async def test_any_other_status_is_an_error_with_its_text(status: int) -> None:
    answer = answering("/flush", "POST", status=status, body=b'{"error": "the disk is full"}')
    async with serving(answer) as port, remote(port) as target:
        with pytest.raises(TargetError, match=f"HTTP status {status}: the disk is full"):
            await target.flush()


async def test_an_endless_answer_is_cut() -> None:
    application = web.Application()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(OSError):
            while True:
                await response.write(b"x" * 1_000_000)
        return response

    application.router.add_get("/queue", handle)
    async with serving(application) as port, remote(port) as target:
        with pytest.raises(TargetError, match="more than 8388608 octets"):
            await target.queue()


async def test_a_slow_answer_ends_at_its_deadline() -> None:
    application = web.Application()
    ended = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    application.router.add_get("/about", handle)
    async with serving(application) as port, remote(port, call_seconds=0.2) as target:
        with pytest.raises(TargetError, match=r"no answer within 0.2 s \(contract-call\)"):
            await target.about()
        ended.set()


async def test_reports_have_a_deadline_of_their_own() -> None:
    application = web.Application()
    ended = asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.json_response({"sent": 2})

    async def never(request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    application.router.add_post("/reports", late)
    application.router.add_post("/flush", late)
    async with serving(application) as port, remote(port, call_seconds=0.1) as target:
        await target.reports()
        with pytest.raises(TargetError, match=r"no answer within 0.1 s \(contract-call\)"):
            await target.flush()
    application = web.Application()
    application.router.add_post("/reports", never)
    async with serving(application) as port, remote(port, reports_seconds=0.1) as target:
        with pytest.raises(TargetError, match=r"no answer within 0.1 s \(send-reports\)"):
            await target.reports()
        ended.set()


async def test_a_dead_target_is_a_target_error() -> None:
    async with remote(1) as target:
        with pytest.raises(TargetError, match=r"GET http://127\.0\.0\.1:1/about"):
            await target.about()
        with pytest.raises(TargetError, match="does not take mail: no connection"):
            await target.greet()
        with pytest.raises(TargetError, match="no connection"):
            await target.inject("a@b.example", "c@d.example", b"")


async def test_a_server_that_closes_amid_http() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with remote(listening.sockets[0].getsockname()[1]) as target:
        with pytest.raises(TargetError):
            await target.queue()
    listening.close()
