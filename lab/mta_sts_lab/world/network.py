"""Addresses: virtual ones of 198.18.0.0/15, which are real in a container and mapped in process.

In a container a prefix is local to the lab's network namespace, and a virtual address is bound as it is. In process the
same virtual address and port is an ephemeral port of 127.0.0.1, and whoever dials looks it up in the address book. No
other address is ever bound or dialled: RFC 2544 set this block aside for tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import struct
import sys
import time
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

BENCHMARK_BLOCK = ipaddress.IPv4Network("198.18.0.0/15")

#: Open files that the whole catalogue takes at once, with some to spare.
FILES_NEEDED = 1024

#: What is called with every TCP connection that arrives. It owns the socket and must close it.
OnConnection = Callable[[socket.socket], Coroutine[Any, Any, None]]

MakeProtocol = Callable[[], asyncio.DatagramProtocol]


def allow_enough_files() -> None:
    """Raise the soft limit of open files to what a run needs, as far as the hard limit goes (macOS begins at 256)."""
    try:
        import resource  # not on Windows
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = FILES_NEEDED if hard == unlimited else min(FILES_NEEDED, hard)
    if soft not in (unlimited, wanted) and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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

    def open_port(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """Accept TCP connections at a virtual address, from now on. Raises `AddressInUse`."""

    async def listen_datagrams(self, address: str, port: int, factory: MakeProtocol) -> Listener:
        """Receive UDP datagrams at a virtual address. Raises `AddressInUse`."""


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
        # Bound and never listened on or read: whoever dials is refused, and nobody else can take the port meanwhile.
        # They go with the address book, which has no end of its own: a target may dial until the very last moment.
        self._nobody: dict[str, tuple[str, int]] = {}
        for transport, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
            sock = socket.socket(socket.AF_INET, kind)
            sock.bind(("127.0.0.1", 0))
            self._nobody[transport] = sock.getsockname()
            weakref.finalize(self, sock.close)

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """See `Network`. An address that is not listened on leads to a port that refuses (by UDP: never answers)."""
        require_lab_address(address)
        return self._book.get((address, port, transport), self._nobody[transport])

    def open_port(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """See `Network`."""
        key = self._free_key(address, port, "tcp")
        sock = _bound_socket("127.0.0.1", 0)
        self._book[key] = sock.getsockname()
        accepting = _accept(sock, on_connection)

        def stop() -> None:
            self._book.pop(key, None)
            accepting.close()

        return Listener(stop)

    async def listen_datagrams(self, address: str, port: int, factory: MakeProtocol) -> Listener:
        """See `Network`."""
        key = self._free_key(address, port, "udp")
        transport = await _bound_datagrams("127.0.0.1", 0, factory)
        self._book[key] = transport.get_extra_info("sockname")[:2]

        def stop() -> None:
            self._book.pop(key, None)
            transport.close()

        return Listener(stop)

    def _free_key(self, address: str, port: int, transport: str) -> tuple[str, int, str]:
        require_lab_address(address)
        key = (address, port, transport)
        if key in self._book:
            raise AddressInUse(f"cannot listen on {address} port {port}: another host of this lab does")
        return key


class PrefixNetwork:
    """Virtual addresses in a container whose kernel was told that the whole prefix is local to it."""

    def __init__(self, prefix: str) -> None:
        block = ipaddress.ip_network(prefix)
        if not isinstance(block, ipaddress.IPv4Network) or not block.subnet_of(BENCHMARK_BLOCK):
            raise UnsafeAddress(f"{prefix} is not part of {BENCHMARK_BLOCK}: the lab uses no other")
        self.prefix = block

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """See `Network`: here an address is what it says."""
        require_lab_address(address)
        return address, port

    def open_port(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """See `Network`."""
        require_lab_address(address)
        return _accept(_bound_socket(address, port), on_connection)

    async def listen_datagrams(self, address: str, port: int, factory: MakeProtocol) -> Listener:
        """See `Network`."""
        require_lab_address(address)
        transport = await _bound_datagrams(address, port, factory)
        return Listener(transport.close)


#: Linux: when did the datagram come that was read last? It is the time of SO_TIMESTAMPNS (socket(7)), and can be asked
#: for where asyncio reads the socket. No other system has it.
_SIOCGSTAMPNS = 0x8907
_TIMESPEC = struct.Struct("@ll")


def seconds_waited(descriptor: int) -> float:
    """Return how long the datagram that was read last from a socket had waited there; 0 where the kernel does not say.

    The first call makes the kernel take the times.
    """
    if sys.platform != "linux":
        return 0.0
    import fcntl

    try:
        seconds, nanoseconds = _TIMESPEC.unpack(fcntl.ioctl(descriptor, _SIOCGSTAMPNS, bytes(_TIMESPEC.size)))
    except OSError:
        return 0.0
    return max(0.0, time.time() - (float(seconds) + float(nanoseconds) / 1e9))


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
        raise AddressInUse(
            f"cannot listen on {address} port {port}: {error.strerror}; is another lab using it?"
        ) from error
    return sock


async def _bound_datagrams(address: str, port: int, factory: MakeProtocol) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(factory, local_addr=(address, port))
    except OSError as error:
        raise AddressInUse(
            f"cannot receive on {address} port {port} (UDP): {error.strerror}; is another lab using it?"
        ) from error
    return transport


def _accept(sock: socket.socket, on_connection: OnConnection) -> Listener:
    """Accept on a listening socket until closed, each connection in a task of its own. Needs a selector event loop."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def stop() -> None:
        if sock.fileno() != -1:
            loop.remove_reader(sock)
            sock.close()

    def on_readable() -> None:
        # Not `loop.sock_accept`: a task that is cancelled just after the accept would lose the connection it accepted.
        try:
            connection, _ = sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of file descriptors, say. Nobody is served any more, which must not look like a host that is down.
            stop()
            message = "a listening port of the lab died"
            if error.errno == errno.EMFILE:
                message += (
                    f"; {FILES_NEEDED} open files are needed at once: raise the limit (`ulimit -n {FILES_NEEDED}`)"
                )
            loop.call_exception_handler({"message": message, "exception": error})
            return
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # whoever dialled may be gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = loop.create_task(on_connection(connection))
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_reader(sock, on_readable)
    return Listener(stop)
