"""What every host does with a connection, whoever deals with it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed, LabFailed
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.host import AcceptingHost, HostServices
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.path import Accepted, Host
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.tls import Certificates

from tests.world.watching import facts, seen

CASE = "a/b[none]"
ADDRESS = "198.18.64.4"
OTHER_ADDRESS = "2001:db8:64::4"


class Parrot(AcceptingHost):
    """Says its name and hangs up."""

    async def _speak(self, accepted: Accepted, via: str) -> None:
        await asyncio.get_running_loop().sock_sendall(accepted.sock, self.name.encode())
        accepted.sock.close()


class Broken:
    """Fails, before or after it has made a transport of the socket."""

    refuses = False

    def __init__(self, late: bool) -> None:
        self.late = late

    async def take(self, accepted: Accepted, host: Host) -> None:
        if self.late:
            self.streams = await asyncio.open_connection(sock=accepted.sock)
        raise RuntimeError("no such luck")


@pytest.fixture
def own_record() -> Recorder:
    """Not the shared fixture, which wants no lab error on record."""
    return Recorder()


@pytest.fixture
def own_ground(network: LoopbackNetwork, own_record: Recorder, authority: Authority) -> HostServices:
    return HostServices(network, own_record, Certificates(authority))


async def listen_to(where: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*where)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return said


@pytest.mark.parametrize("late", [False, True])
async def test_an_attack_that_fails_is_a_lab_error_and_ends_the_connection(
    network: LoopbackNetwork, own_record: Recorder, own_ground: HostServices, late: bool
) -> None:
    parrot = Parrot(own_ground, CASE, "mx", "polly.example", [ADDRESS], 25)
    parrot.reachable = True
    broken = Broken(late)
    parrot.path = broken
    assert await listen_to(network.where(ADDRESS, 25)) == b""
    (failed,) = await seen(own_record, LabFailed, CASE)
    assert (failed.where, failed.error) == ("session s1 with mx polly.example", "RuntimeError: no such luck")
    await seen(own_record, ConnectionClosed, CASE)
    if late:
        broken.streams[1].close()
        await broken.streams[1].wait_closed()
    await parrot.close()


async def test_sessions_have_names_of_their_own(
    network: LoopbackNetwork, own_record: Recorder, own_ground: HostServices
) -> None:
    hosts = [Parrot(own_ground, CASE, "mx", f"polly{n}.example", [f"198.18.64.{n}"], 25) for n in (4, 5)]
    for host in hosts:
        host.reachable = True
        assert await listen_to(network.where(host.address, 25)) == host.name.encode()
        assert await listen_to(await host.back_door("s1", ADDRESS)) == host.name.encode()
        await host.close()
    accepted = facts(own_record, ConnectionAccepted, CASE)
    assert len({fact.session for fact in accepted}) == 4
    assert [fact.via for fact in accepted] == ["", "s1", "", "s1"]
    assert [fact.session for fact in facts(own_record, ConnectionClosed, CASE)] == [fact.session for fact in accepted]


async def test_a_host_is_closed_for_good(network: LoopbackNetwork, own_ground: HostServices) -> None:
    parrot = Parrot(own_ground, CASE, "mx", "polly.example", [ADDRESS], 25)
    assert not parrot.reachable
    with pytest.raises(ConnectionRefusedError):
        await listen_to(network.where(ADDRESS, 25))
    parrot.reachable = True
    _, writer = await asyncio.open_connection(*network.where(ADDRESS, 25))
    await parrot.close()
    await parrot.close()
    parrot.reachable = True
    with pytest.raises(ConnectionRefusedError):
        await listen_to(network.where(ADDRESS, 25))
    writer.transport.abort()


async def test_a_target_is_served_from_the_port_of_a_witness_that_goes_to_another_host(
    own_ground: HostServices, own_record: Recorder
) -> None:
    host = Parrot(own_ground, CASE, "mx", "mx1", [ADDRESS], 25)
    host.reachable = True
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        arrived: asyncio.Future[None] = asyncio.Future()
        own_ground.witnesses[sock.getsockname(), ("127.0.0.1", 9)] = arrived, True
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, own_ground.network.where(ADDRESS, 25))
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 100), 10) == b"mx1"
    assert not arrived.done()
    for served in (True, False):
        async with asyncio.timeout(10), host.visit(ADDRESS, served) as sock:
            assert await asyncio.get_running_loop().sock_recv(sock, 100) == (b"mx1" if served else b"")
    await host.close()
    assert len(await seen(own_record, ConnectionAccepted, CASE)) == 1


async def test_a_host_answers_at_an_address_of_each_family_but_the_dead_one(
    network: LoopbackNetwork, own_record: Recorder, own_ground: HostServices
) -> None:
    host = Parrot(own_ground, CASE, "mx", "polly.example", [ADDRESS, OTHER_ADDRESS], 25)
    host.reachable = True
    for address in (ADDRESS, OTHER_ADDRESS):
        assert await listen_to(network.where(address, 25)) == b"polly.example"
    assert [fact.address for fact in facts(own_record, ConnectionAccepted, CASE)] == [ADDRESS, OTHER_ADDRESS]
    assert host.listens_at == (ADDRESS, OTHER_ADDRESS)
    host.dead = Family.IPV6
    assert host.listens_at == (ADDRESS,), "where it should"
    assert await listen_to(network.where(ADDRESS, 25)) == b"polly.example"
    with pytest.raises(ConnectionRefusedError):
        await listen_to(network.where(OTHER_ADDRESS, 25))
    host.dead = None
    assert await listen_to(network.where(OTHER_ADDRESS, 25)) == b"polly.example"
    for address in host.listens_at:
        async with asyncio.timeout(10), host.visit(address):
            pass
    host._listeners[OTHER_ADDRESS].close()
    assert host.listens_at == (ADDRESS, OTHER_ADDRESS)
    with pytest.raises(OSError, match="refused"):
        async with asyncio.timeout(10), host.visit(OTHER_ADDRESS):
            pass
    await host.close()


async def test_a_session_behind_an_attacker_is_at_the_address_that_was_attacked(
    own_record: Recorder, own_ground: HostServices
) -> None:
    host = Parrot(own_ground, CASE, "mx", "polly.example", [ADDRESS, OTHER_ADDRESS], 25)
    assert await listen_to(await host.back_door("s1", OTHER_ADDRESS)) == b"polly.example"
    assert [fact.address for fact in facts(own_record, ConnectionAccepted, CASE)] == [OTHER_ADDRESS]
    await host.close()
