"""The policy host: what its policies look like, and what it says of itself over HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from mta_sts_lab.events import (
    ClientHelloSeen,
    ConnectionAccepted,
    ConnectionClosed,
    LabFailed,
    PolicyRequested,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.model.world import PolicyHost, Stall
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.client_hello import authenticates_server
from mta_sts_lab.rfc.domain_names import POLICY_PATH
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.policy_host import PolicyServer, PolicySettings

from tests.world.clients import careless, request, trusting
from tests.world.watching import facts, seen

CASE = "policy/redirect[enforce]"
NAME = "mta-sts.c0ffee.example"
ADDRESS = "198.18.64.4"
BODY = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.c0ffee.example\r\nmax_age: 604800\r\n"
ID = "abc123"


@pytest.fixture
async def server(services: HostServices) -> AsyncIterator[PolicyServer]:
    server = PolicyServer(services, CASE, NAME, [ADDRESS])
    server.arrange(PolicySettings(PolicyHost(), BODY, ID))
    yield server
    await server.close()


async def test_an_honest_fetch(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    where = services.network.where(ADDRESS, 443)
    context = trusting(authority, strict=True)
    context.set_alpn_protocols(["h2", "http/1.1"])
    status, headers, body = await request(where, NAME, context, POLICY_PATH, headers=("User-Agent: tester/1",))
    assert (status, headers["content-type"], body) == (200, "text/plain", BODY)
    (closed,) = await seen(recorder, ConnectionClosed, CASE)
    (accepted,) = facts(recorder, ConnectionAccepted, CASE)
    assert (accepted.role, accepted.host, accepted.port) == ("policy-host", NAME, 443)
    (hello,) = facts(recorder, ClientHelloSeen, CASE)
    assert (hello.session, hello.sni, hello.raw_public_keys, hello.ssl2_form) == (closed.session, NAME, False, False)
    assert any(map(authenticates_server, hello.cipher_suites))
    assert facts(recorder, TlsEstablished, CASE)[0].certificate == "valid"
    assert facts(recorder, PolicyRequested, CASE) == [
        PolicyRequested(
            session=closed.session,
            host=NAME,
            method="GET",
            path=POLICY_PATH,
            sni=NAME,
            status=200,
            policy_id=ID,
            user_agent="tester/1",
            policy=BODY.decode(),
            media_type="text/plain",
        )
    ]


@pytest.mark.parametrize("sni", [None, "c0ffee.example", "mta-sts.beef.example"])
async def test_the_matching_chain_or_none(
    services: HostServices, server: PolicyServer, recorder: Recorder, sni: str | None
) -> None:
    """RFC 8461, section 7.1."""
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        await request(services.network.where(ADDRESS, 443), sni, careless(), POLICY_PATH)
    (failed,) = await seen(recorder, TlsFailed, CASE)
    assert failed.certificate == ""
    assert facts(recorder, ClientHelloSeen, CASE)[0].sni == (sni or "")
    assert facts(recorder, PolicyRequested, CASE) == []


@pytest.mark.parametrize("variant", ["expired", "self-signed", "wrong-name"])
async def test_a_bad_certificate_is_shown(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority, variant: str
) -> None:
    server.arrange(PolicySettings(PolicyHost(certificate=variant), BODY, ID))
    where = services.network.where(ADDRESS, 443)
    with pytest.raises(ssl.SSLCertVerificationError):
        await request(where, NAME, trusting(authority), POLICY_PATH)
    assert facts(recorder, PolicyRequested, CASE) == []
    assert (await request(where, NAME, careless(), POLICY_PATH))[0] == 200
    assert facts(recorder, TlsEstablished, CASE)[0].certificate == variant


@pytest.mark.parametrize("status", [201, 203, 300, 404, 500, 503])
async def test_under_a_wrong_status_the_body_is_valid_all_the_same(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority, status: int
) -> None:
    server.arrange(PolicySettings(PolicyHost(status=status), BODY, ID))
    where = services.network.where(ADDRESS, 443)
    got, headers, body = await request(where, NAME, trusting(authority), POLICY_PATH)
    assert (got, body) == (status, BODY)
    assert "location" not in headers
    assert facts(recorder, PolicyRequested, CASE)[0].status == status


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority, status: int
) -> None:
    server.arrange(PolicySettings(PolicyHost(status=status), BODY, ID))
    got, _, body = await request(services.network.where(ADDRESS, 443), NAME, trusting(authority), POLICY_PATH)
    assert (got, body) == (status, b"")
    assert facts(recorder, PolicyRequested, CASE)[0].policy_id == ""


async def test_a_redirect_and_whoever_follows_it(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(status=302, location="/elsewhere.txt"), BODY, ID))
    where = services.network.where(ADDRESS, 443)
    context = trusting(authority)
    assert (await request(where, NAME, context, "/elsewhere.txt"))[0] == 200
    status, headers, _ = await request(where, NAME, context, POLICY_PATH)
    assert (status, headers["location"]) == (302, "/elsewhere.txt")
    assert (await request(where, NAME, context, "/elsewhere.txt"))[2] == BODY
    found = [(fact.path, fact.status, fact.redirected) for fact in facts(recorder, PolicyRequested, CASE)]
    assert found == [("/elsewhere.txt", 200, False), (POLICY_PATH, 302, False), ("/elsewhere.txt", 200, True)]


async def test_other_documents_and_methods(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    where = services.network.where(ADDRESS, 443)
    context = trusting(authority)
    assert (await request(where, NAME, context, "/"))[0] == 404
    assert (await request(where, NAME, context, "/.well-known/MTA-STS.txt"))[0] == 404
    assert (await request(where, NAME, context, POLICY_PATH, method="POST", body=b"x"))[0] == 405
    head = await request(where, NAME, context, POLICY_PATH, method="HEAD")
    assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(BODY)), b"")
    found = [(fact.method, fact.status, fact.policy_id) for fact in facts(recorder, PolicyRequested, CASE)]
    assert found == [("GET", 404, ""), ("GET", 404, ""), ("POST", 405, ""), ("HEAD", 200, ID)]


async def test_a_conditional_request_is_seen_and_answered_in_full(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    where = services.network.where(ADDRESS, 443)
    status, _, body = await request(where, NAME, trusting(authority), POLICY_PATH, headers=('If-None-Match: "x"',))
    assert (status, body) == (200, BODY)
    assert facts(recorder, PolicyRequested, CASE)[0].conditional


async def test_content_type_and_reachability(
    services: HostServices, server: PolicyServer, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(content_type="text/html"), BODY, ID))
    where = services.network.where(ADDRESS, 443)
    assert (await request(where, NAME, trusting(authority), POLICY_PATH))[1]["content-type"] == "text/html"
    server.arrange(PolicySettings(PolicyHost(reachable=False), BODY, ID))
    with pytest.raises(ConnectionRefusedError):
        await request(services.network.where(ADDRESS, 443), NAME, trusting(authority), POLICY_PATH)


async def test_a_back_door(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    where = await server.back_door("s5", ADDRESS)
    assert (await request(where, NAME, trusting(authority), POLICY_PATH))[2] == BODY
    assert facts(recorder, ConnectionAccepted, CASE)[0].via == "s5"


async def test_nonsense_inside_tls_is_survived(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    where = services.network.where(ADDRESS, 443)
    for nonsense in (b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000, b"GET /"):
        reader, writer = await asyncio.open_connection(*where, ssl=trusting(authority), server_hostname=NAME)
        writer.write(nonsense)
        if nonsense == b"GET /":
            writer.transport.abort()
        else:
            assert b"400" in await reader.readline()
            writer.transport.abort()
    assert (await request(where, NAME, trusting(authority), POLICY_PATH))[2] == BODY


async def test_closing_ends_sessions(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    where = services.network.where(ADDRESS, 443)
    _, idle = await asyncio.open_connection(*where)
    _, secured = await asyncio.open_connection(*where, ssl=trusting(authority), server_hostname=NAME)
    secured.write(b"POST /.well-known/mta-sts.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    await seen(recorder, PolicyRequested, CASE)
    await server.close()
    assert len(facts(recorder, ConnectionClosed, CASE)) == 2
    assert facts(recorder, TlsFailed, CASE) == []
    for writer in (idle, secured):
        writer.transport.abort()


async def test_header_fields_of_the_answer(services: HostServices, server: PolicyServer, authority: Authority) -> None:
    server.arrange(PolicySettings(PolicyHost(headers=("Cache-Control: public, max-age=60", "Age: 30")), BODY, ID))
    where = services.network.where(ADDRESS, 443)
    _, headers, body = await request(where, NAME, trusting(authority), POLICY_PATH)
    assert (headers["cache-control"], headers["age"], body) == ("public, max-age=60", "30", BODY)


async def _asked_for_the_policy(
    services: HostServices, authority: Authority, fields: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = services.network.where(ADDRESS, 443)
    reader, writer = await asyncio.open_connection(*where, ssl=trusting(authority), server_hostname=NAME)
    writer.write(f"GET {POLICY_PATH} HTTP/1.1\r\nHost: {NAME}\r\n{fields}\r\n".encode())
    return reader, writer


@pytest.mark.parametrize("stalls", [Stall.HALF, Stall.DRIP])
async def test_an_answer_that_never_ends(
    stalls: Stall, services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(stalls=stalls), BODY, ID))
    reader, writer = await _asked_for_the_policy(services, authority)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {len(BODY)}".encode() in head
    begun = await reader.readexactly(len(BODY) // 2 if stalls is Stall.HALF else 2)
    assert BODY.startswith(begun)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.readexactly(1)
    writer.close()
    await seen(recorder, ConnectionClosed, CASE)
    (asked,) = facts(recorder, PolicyRequested, CASE)
    assert asked.status == 0, "a policy that never came was not fetched"


each_framing = pytest.mark.parametrize(
    ("framing", "field"),
    [("length", f"Content-Length: {len(BODY)}"), ("chunked", "Transfer-Encoding: chunked"), ("close", "")],
)
Framing = Literal["length", "chunked", "close"]


@each_framing
async def test_an_answer_that_tells_its_end_in_some_way(
    framing: Framing, field: str, services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(framing=framing), BODY, ID))
    reader, writer = await _asked_for_the_policy(services, authority, "Connection: close\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert [one for one in head.split("\r\n") if one.startswith(("Content-Length", "Transfer-Encoding"))] == [
        *filter(None, [field])
    ]
    came = await reader.read()
    assert came == (f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n" if framing == "chunked" else BODY)
    writer.close()
    await seen(recorder, ConnectionClosed, CASE)
    (asked,) = facts(recorder, PolicyRequested, CASE)
    assert asked.status == 200


async def test_an_answer_that_comes_in_pieces(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(in_pieces=True), BODY, ID))
    reader, writer = await _asked_for_the_policy(services, authority, "Connection: close\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert f"Content-Length: {len(BODY)}".encode() in head
    first = await reader.read(len(BODY))
    assert first == BODY[: len(BODY) // 2]
    assert await reader.read() == BODY[len(first) :]
    writer.close()
    await seen(recorder, ConnectionClosed, CASE)
    (asked,) = facts(recorder, PolicyRequested, CASE)
    assert asked.status == 200


@each_framing
async def test_an_answer_that_breaks_off(
    framing: Framing,
    field: str,
    services: HostServices,
    server: PolicyServer,
    recorder: Recorder,
    authority: Authority,
) -> None:
    server.arrange(PolicySettings(PolicyHost(framing=framing, cut=True), BODY, ID))
    where = services.network.where(ADDRESS, 443)
    reader, writer = await asyncio.open_connection(*where, ssl=trusting(authority), server_hostname=NAME)
    tls = writer.get_extra_info("ssl_object")
    writer.write(f"GET {POLICY_PATH} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lengths = [one for one in ("Content-Length", "Transfer-Encoding") if one in head]
    assert field in head
    assert len(lengths) == (1 if field else 0)
    came: list[bytes] = []
    while line := await reader.readline():
        came.append(line)
    with pytest.raises(ssl.SSLWantReadError):  # a close_notify would be the end
        tls.read(1)
    whole = BODY.splitlines(keepends=True)
    assert [line for line in came if line in whole] == whole[:-1]
    writer.close()
    await seen(recorder, ConnectionClosed, CASE)
    (asked,) = facts(recorder, PolicyRequested, CASE)
    assert asked.status == 0, "a policy that never came whole was not fetched"


async def test_an_answer_that_goes_on_and_on(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(stalls=Stall.ENDLESS), BODY, ID))
    reader, writer = await _asked_for_the_policy(services, authority)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Content-Length" not in head
    begun = await reader.readexactly(3 * 64 * 1024)
    assert begun.count(BODY) == 1
    assert begun.count(b"\r\nnote: ") > 2000, "lines that a reader of policies ignores"
    writer.close()
    await seen(recorder, ConnectionClosed, CASE)
    (asked,) = facts(recorder, PolicyRequested, CASE)
    assert asked.status == 0, "a policy that never ended was not fetched"


def _have_enough_of_an_answer(where: tuple[str, int], context: ssl.SSLContext) -> None:
    """Ask for the policy, say close_notify in the middle of the answer, and drop what comes behind it."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, sent, server_hostname=NAME)
    with socket.create_connection(where) as connection:
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            connection.sendall(sent.read())
            received.write(connection.recv(65536))
        client.write(f"GET {POLICY_PATH} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        connection.sendall(sent.read())
        connection.recv(1024)
        with contextlib.suppress(ssl.SSLError):
            client.unwrap()
        connection.sendall(sent.read())
        while connection.recv(65536):
            pass


async def test_a_client_that_has_had_enough_of_a_long_answer_is_no_failure_of_the_lab(
    services: HostServices, server: PolicyServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(PolicySettings(PolicyHost(), BODY + b"note: x\r\n" * (1 << 20), ID))
    where = services.network.where(ADDRESS, 443)
    await asyncio.to_thread(_have_enough_of_an_answer, where, trusting(authority))
    await seen(recorder, ConnectionClosed, CASE)
    await server.close()
    assert facts(recorder, LabFailed, CASE) == []
