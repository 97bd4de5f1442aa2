"""Addresses: the lab's hosts live at virtual addresses of 198.18.0.0/15, which are real in a container and mapped in process.

In a container a prefix is local to the lab's network namespace, and a virtual address is bound as it is. In process the
same virtual address and port is an ephemeral port of 127.0.0.1, and whoever dials looks it up in the address book. No
other address is ever bound or dialled: RFC 2544 set this block aside for tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

BENCHMARK_BLOCK = ipaddress.ip_network("198.18.0.0/15")

#: What is called with every TCP connection that arrives. It owns the socket and must close it.
OnConnection = Callable[[socket.socket], Awaitable[None]]


class UnsafeAddress(Exception):
    """An address outside the block that the lab may use."""


class AddressInUse(Exception):
    """A port that the lab needs is taken by somebody else: the message names it and what to do."""


def require_lab_address(address: str) -> None:
    """Raise `UnsafeAddress` unless the address lies in the block that RFC 2544 reserves for tests."""
    try:
        inside = ipaddress.ip_address(address) in BENCHMARK_BLOCK
    except ValueError:
        inside = False
    if not inside:
        raise UnsafeAddress(f"{address!r} is not an address of {BENCHMARK_BLOCK}: the lab uses no other")


class Network(Protocol):
    """Where virtual addresses become sockets."""

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """Return the address and port to dial for a virtual one (a free one refuses: nobody listens there)."""

    async def listen(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """Accept TCP connections at a virtual address."""

    async def listen_datagrams(
        self, address: str, port: int, factory: Callable[[], asyncio.DatagramProtocol]
    ) -> Listener:
        """Receive UDP datagrams at a virtual address."""


@dataclass(slots=True)
class Listener:
    """Something that listens. `close` stops it at once; connections that it accepted stay with their owners."""

    _stop: Callable[[], None]

    def close(self) -> None:
        """Stop listening. Calling it again does nothing."""
        stop, self._stop = self._stop, lambda: None
        stop()


class LoopbackNetwork:
    """Virtual addresses in process: each address and port is an ephemeral port of 127.0.0.1. Needs no privileges."""

    def __init__(self) -> None:
        self._book: dict[tuple[str, int, str], tuple[str, int]] = {}
        # Bound and never listened on: whoever dials it is refused, and nobody else can take the port meanwhile.
        self._nobody = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._nobody.bind(("127.0.0.1", 0))

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """See `Network`. An address that is not listened on leads to a port that refuses."""
        require_lab_address(address)
        return self._book.get((address, port, transport), self._nobody.getsockname())

    async def listen(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """See `Network`."""
        require_lab_address(address)
        sock = _bound_socket("127.0.0.1", 0)
        key = (address, port, "tcp")
        self._book[key] = sock.getsockname()
        accepting = _accept(sock, on_connection)

        def stop() -> None:
            self._book.pop(key, None)
            accepting.close()

        return Listener(stop)

    async def listen_datagrams(
        self, address: str, port: int, factory: Callable[[], asyncio.DatagramProtocol]
    ) -> Listener:
        """See `Network`."""
        require_lab_address(address)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(factory, local_addr=("127.0.0.1", 0))
        key = (address, port, "udp")
        self._book[key] = transport.get_extra_info("sockname")[:2]

        def stop() -> None:
            self._book.pop(key, None)
            transport.close()

        return Listener(stop)


class PrefixNetwork:
    """Virtual addresses in a container whose kernel was told that the whole prefix is local to it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = ipaddress.ip_network(prefix)
        if not self.prefix.subnet_of(BENCHMARK_BLOCK):  # type: ignore[arg-type]
            raise UnsafeAddress(f"{prefix} is not part of {BENCHMARK_BLOCK}: the lab uses no other")

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """See `Network`: here an address is what it says."""
        require_lab_address(address)
        return address, port

    async def listen(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """See `Network`. Raises `AddressInUse`."""
        require_lab_address(address)
        return _accept(_bound_socket(address, port), on_connection)

    async def listen_datagrams(
        self, address: str, port: int, factory: Callable[[], asyncio.DatagramProtocol]
    ) -> Listener:
        """See `Network`."""
        require_lab_address(address)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(factory, local_addr=(address, port))
        return Listener(transport.close)


def reset(sock: socket.socket) -> None:
    """Close a connection so that the other side sees a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _bound_socket(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(100)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise AddressInUse(f"cannot listen on {address} port {port}: {error.strerror}; is another lab using it?") from error
    return sock


def _accept(sock: socket.socket, on_connection: OnConnection) -> Listener:
    """Accept on a listening socket until closed, each connection in a task of its own."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    async def forever() -> None:
        while True:
            connection, _ = await loop.sock_accept(sock)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.ensure_future(on_connection(connection))
            running.add(task)
            task.add_done_callback(running.discard)

    accepting = asyncio.ensure_future(forever())

    def stop() -> None:
        accepting.cancel()
        with contextlib.suppress(ValueError, OSError):
            loop.remove_reader(sock)
        sock.close()

    return Listener(stop)
