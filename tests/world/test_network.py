"""Virtual addresses: only the lab's, mapped or real, and nobody answers where nobody listens."""

from __future__ import annotations

import asyncio
import resource
import socket
from unittest import mock

import pytest
from mta_sts_lab.world import network as network_module
from mta_sts_lab.world.network import (
    AddressInUse,
    LoopbackNetwork,
    PrefixNetwork,
    UnsafeAddress,
    allow_enough_files,
    require_lab_address,
    reset,
)

HERE = "198.18.64.9"
HERE_TOO = "2001:db8:64::9"


async def hang_up(sock: socket.socket) -> None:
    sock.close()


async def dial_and_read(network: LoopbackNetwork) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, network.where(HERE, 25))
        return await loop.sock_recv(sock, 1)


@pytest.mark.parametrize("address", ["198.18.0.0", "198.18.64.1", "198.19.255.255", "2001:db8::", "2001:db8:ffff::1"])
def test_the_lab_uses_the_blocks_for_tests_and_documentation(address: str) -> None:
    require_lab_address(address)


@pytest.mark.parametrize(
    "address",
    ["198.17.255.255", "198.20.0.0", "127.0.0.1", "0.0.0.0", "8.8.8.8", "::1", "::ffff:198.18.0.1", "", "198.18.0.1 ",
     "localhost", "198.18.1", "0xc6120001", "2001:db7:ffff::1", "2001:db9::", "2001:db8::1%lo", "fe80::1", "::"],
)  # fmt: skip
async def test_any_other_address_is_refused_everywhere(address: str) -> None:
    for network in (LoopbackNetwork(), PrefixNetwork("198.18.64.0/18")):
        with pytest.raises(UnsafeAddress):
            network.where(address, 25)
        with pytest.raises(UnsafeAddress):
            network.open_port(address, 25, hang_up)
        with pytest.raises(UnsafeAddress):
            network.open_port(address, 25, hang_up)
        with pytest.raises(UnsafeAddress):
            await network.listen_datagrams(address, 53, asyncio.DatagramProtocol)


@pytest.mark.parametrize("prefix", ["10.0.0.0/8", "198.16.0.0/14", "0.0.0.0/0", "2001:db8::/31", "::/0"])
def test_a_prefix_outside_the_block_is_refused(prefix: str) -> None:
    with pytest.raises(UnsafeAddress):
        PrefixNetwork(prefix)


async def test_a_virtual_address_leads_to_its_listener() -> None:
    network = LoopbackNetwork()
    greeted: list[str] = []

    async def greet(sock: socket.socket) -> None:
        greeted.append("hello")
        await asyncio.get_running_loop().sock_sendall(sock, b"hello")
        sock.close()

    listener = network.open_port(HERE, 25, greet)
    reader, writer = await asyncio.open_connection(*network.where(HERE, 25))
    assert network.where(HERE, 25)[0] == "127.0.0.1"
    assert await reader.read() == b"hello"
    writer.close()
    await writer.wait_closed()
    listener.close()
    assert greeted == ["hello"]


async def test_an_ipv6_address_is_a_port_of_its_loopback() -> None:
    network = LoopbackNetwork()
    listener = network.open_port(HERE_TOO, 25, hang_up)
    where = network.where(HERE_TOO, 25)
    assert where[0] == "::1"
    reader, writer = await asyncio.open_connection(*where)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*network.where(HERE_TOO, 25))


async def test_a_machine_without_ipv6_has_ipv4_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "has_ipv6_loopback", lambda: False)
    network = LoopbackNetwork()
    assert network.where(HERE, 25)[0] == "127.0.0.1"
    with pytest.raises(UnsafeAddress, match="no address ::1"):
        network.where(HERE_TOO, 25)
    with pytest.raises(UnsafeAddress, match="no address ::1"):
        network.open_port(HERE_TOO, 25, hang_up)


@pytest.mark.parametrize("prefixes", [("2001:db8::/32",), ("198.18.0.0/16", "2001:db8:1::/64")])
def test_prefixes_inside_the_blocks(prefixes: tuple[str, ...]) -> None:
    assert PrefixNetwork(*prefixes).where("2001:db8:1::5", 25) == ("2001:db8:1::5", 25)


async def test_an_address_where_nobody_listens_refuses() -> None:
    network = LoopbackNetwork()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*network.where(HERE, 25))


async def test_a_closed_listener_refuses_and_can_come_back() -> None:
    network = LoopbackNetwork()
    listener = network.open_port(HERE, 25, hang_up)
    listener.close()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*network.where(HERE, 25))
    again = network.open_port(HERE, 25, hang_up)
    reader, writer = await asyncio.open_connection(*network.where(HERE, 25))
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    again.close()


async def test_a_port_is_given_away_once() -> None:
    network = LoopbackNetwork()
    listener = network.open_port(HERE, 25, hang_up)
    with pytest.raises(AddressInUse, match=r"198\.18\.64\.9 port 25"):
        network.open_port(HERE, 25, hang_up)
    other = network.open_port(HERE, 443, hang_up)
    assert network.where(HERE, 443) != network.where(HERE, 25)
    listener.close()
    other.close()
    datagrams = await network.listen_datagrams(HERE, 53, asyncio.DatagramProtocol)
    with pytest.raises(AddressInUse):
        await network.listen_datagrams(HERE, 53, asyncio.DatagramProtocol)
    datagrams.close()


async def test_a_port_that_somebody_else_holds_is_named() -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        network = PrefixNetwork("198.18.64.0/18")
        # The kernel of a test machine has no 198.18.0.0/15: let the same code bind loopback addresses for once.
        with mock.patch.object(network_module, "require_lab_address"):
            port = tcp.getsockname()[1]
            with pytest.raises(AddressInUse, match=rf"127\.0\.0\.1 port {port}: .+ is another lab using it"):
                network.open_port("127.0.0.1", port, hang_up)
            with pytest.raises(AddressInUse, match="UDP"):
                await network.listen_datagrams("127.0.0.1", udp.getsockname()[1], asyncio.DatagramProtocol)


async def test_an_address_that_the_kernel_does_not_have_cannot_be_bound() -> None:
    with pytest.raises(AddressInUse, match=r"198\.18\.64\.9 port 60025"):
        PrefixNetwork("198.18.64.0/18").open_port(HERE, 60025, hang_up)


def test_in_a_container_an_address_is_what_it_says() -> None:
    assert PrefixNetwork("198.18.64.0/18").where("198.18.0.5", 25) == ("198.18.0.5", 25)


async def test_datagrams_arrive() -> None:
    network = LoopbackNetwork()
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            arrived.set_result(data)

    listener = await network.listen_datagrams(HERE, 53, Sink)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"query", network.where(HERE, 53, "udp"))
        assert await asyncio.wait_for(arrived, 5) == b"query"
    listener.close()


async def test_all_datagrams_that_wait_are_read_in_one_iteration_of_the_event_loop() -> None:
    network = LoopbackNetwork()
    arrived: list[bytes] = []

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            arrived.append(data)
            if len(arrived) == 12:
                listener.close()

    listener = await network.listen_datagrams(HERE, 53, Sink)
    sent = [bytes([number]) for number in range(14)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for data in sent:
            sock.sendto(data, network.where(HERE, 53, "udp"))
    await asyncio.sleep(0)  # select() is asked, which finds the socket readable ...
    await asyncio.sleep(0)  # ... and it is read.
    assert arrived == sent[:12]  # a listener that was closed reads no more


async def test_a_listening_port_that_dies_is_reported() -> None:
    """A lab that has run out of file descriptors must not look like a host that is down."""
    network = LoopbackNetwork()
    reports: asyncio.Queue[tuple[object, str]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.put_nowait((context["exception"], context["message"])))
    listener = network.open_port(HERE, 25, hang_up)
    with mock.patch("socket.socket.accept", side_effect=OSError(24, "Too many open files")):
        with pytest.raises(ConnectionResetError):
            await dial_and_read(network)
        error, message = await asyncio.wait_for(reports.get(), 5)
        assert isinstance(error, OSError)
        assert "1024 open files are needed at once: raise the limit (`ulimit -n 1024`)" in message
    loop.set_exception_handler(None)
    listener.close()


async def test_reset_is_a_reset() -> None:
    network = LoopbackNetwork()

    async def slam(sock: socket.socket) -> None:
        reset(sock)

    listener = network.open_port(HERE, 25, slam)
    with pytest.raises(ConnectionResetError):
        await dial_and_read(network)
    listener.close()


def test_the_limit_of_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        allow_enough_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, hard)
        allow_enough_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
