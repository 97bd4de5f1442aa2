"""HTTPS that ends at the attacker, with requests passed on to the genuine policy host."""

from __future__ import annotations

import asyncio
import http.client
import ssl

import pytest
from mta_sts_lab.events import (
    AttackFired,
    ClientHelloSeen,
    ConnectionAccepted,
    ConnectionClosed,
    LabFailed,
    PolicyRequested,
    TlsEstablished,
    TlsFailed,
)

from tests.attacks.loopback_hosts import POLICY_NAME, LoopbackHosts, client_context, loopback_hosts

PATH = "/.well-known/mta-sts.txt"


def get(
    at: tuple[str, int], context: ssl.SSLContext, times: int = 1, body: bytes | None = None
) -> list[tuple[int, bytes]]:
    """Fetch over one connection, as the client of that context."""

    class Connection(http.client.HTTPSConnection):
        def connect(self) -> None:
            http.client.HTTPConnection.connect(self)
            self.sock = context.wrap_socket(self.sock, server_hostname=POLICY_NAME)

    connection = Connection(*at, timeout=10)
    try:
        answers = []
        for _ in range(times):
            connection.request("GET" if body is None else "POST", PATH, body=body, headers={"Host": POLICY_NAME})
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
        return answers
    finally:
        connection.close()


async def fetch(
    here: LoopbackHosts, verifies: bool, times: int = 1, body: bytes | None = None
) -> list[tuple[int, bytes]]:
    return await asyncio.to_thread(get, here.policy_at, client_context(verifies), times, body)


async def test_a_fetcher_who_verifies_refuses_and_the_genuine_host_hears_nothing() -> None:
    async with loopback_hosts() as here:
        here.attack_policy_host("untrusted")
        with pytest.raises(ssl.SSLCertVerificationError):
            await fetch(here, verifies=True)
        (failed,) = await here.until(TlsFailed)
        assert (failed.alert, failed.certificate) == ("unknown ca", "untrusted")
        (fired,) = here.facts(AttackFired)
        assert (fired.attack, fired.channel, fired.session) == ("swap_policy_certificate", "https", failed.session)
        await here.until(ConnectionClosed)
        assert [fact.via for fact in here.facts(ConnectionAccepted)] == [""]
        assert not here.facts(PolicyRequested)
        assert not here.facts(LabFailed)


async def test_a_fetcher_who_does_not_verify_gets_the_genuine_policy() -> None:
    async with loopback_hosts() as here:
        here.attack_policy_host("wrong-name")
        assert await fetch(here, verifies=False) == [(200, b"version: STSv1\r\n")]
        (asked,) = here.facts(PolicyRequested)
        assert (asked.host, asked.path, asked.sni, asked.status) == (POLICY_NAME, PATH, POLICY_NAME, 200)
        target, behind = here.facts(ConnectionAccepted)
        assert behind.via == target.session
        assert asked.session == behind.session
        shown = [fact for fact in here.facts(TlsEstablished) if fact.session == target.session]
        assert [(fact.certificate, fact.shown_by) for fact in shown] == [("wrong-name", "swap_policy_certificate")]
        assert [fact.sni for fact in here.facts(ClientHelloSeen)] == [POLICY_NAME, POLICY_NAME]
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_several_requests_over_one_connection_are_all_passed_on() -> None:
    async with loopback_hosts() as here:
        here.attack_policy_host("expired")
        assert await fetch(here, verifies=False, times=3) == [(200, b"version: STSv1\r\n")] * 3
        assert len(here.facts(PolicyRequested)) == 3
        assert len(here.facts(AttackFired)) == 1
        assert not here.facts(LabFailed)


async def test_a_request_of_any_size_is_no_fault_of_the_lab() -> None:
    async with loopback_hosts() as here:
        here.attack_policy_host("expired")
        try:
            ((status, _),) = await fetch(here, verifies=False, body=bytes(8 << 20))
            assert status == 413
        except OSError:
            pass  # the answer may be overtaken by the end of the connection
        assert not here.facts(PolicyRequested)
        assert not here.facts(LabFailed)


async def test_closing_ends_a_connection_that_says_nothing() -> None:
    async with loopback_hosts() as here:
        path = here.attack_policy_host("expired")
        _, writer = await asyncio.open_connection(*here.policy_at)
        await here.until(ConnectionAccepted)
        await path.close()
        await here.until(ConnectionClosed)
        writer.close()
