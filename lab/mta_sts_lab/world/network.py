"""Addresses: virtual ones of 198.18.0.0/15 and 2001:db8::/32, which are real in a container and mapped in process.

In a container prefixes are local to the lab's network namespace, and a virtual address is bound as it is. In process
the same virtual address and port is an ephemeral port of 127.0.0.1 or ::1, and whoever dials looks it up in the address
book. No other address is ever bound or dialled: RFC 2544 set the one block aside for tests, and RFC 3849 the other one
for documentation.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import itertools
import socket
import struct
import sys
import time
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from mta_sts_lab.model.world import Family

#: Where the messages that the lab injects come from, and where their bounces arrive.
SENDER_DOMAIN = "sender.example"

BENCHMARK_BLOCK = ipaddress.IPv4Network("198.18.0.0/15")

DOCUMENTATION_BLOCK = ipaddress.IPv6Network("2001:db8::/32")

_LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}

_SOCKET_FAMILY = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}

#: Open files that the whole catalogue takes at once, with some to spare.
FILES_NEEDED = 1024

#: What is called with every TCP connection that arrives. It owns the socket and must close it.
OnConnection = Callable[[socket.socket], Coroutine[Any, Any, None]]

#: Octets: as many as UDP carries.
_LARGEST_DATAGRAM = 65535

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
    """An address outside the blocks that the lab may use, or one of a family that this machine does not have."""


class AddressInUse(Exception):
    """A port that the lab needs is taken by somebody else: the message names it and what to do."""


class NoLoopback(Exception):
    """Nothing can be sent over the loopback interface of this machine."""


def require_lab_address(address: str) -> None:
    """Raise `UnsafeAddress` unless the address lies in a block that RFC 2544 or RFC 3849 reserves for such uses."""
    try:
        parsed = ipaddress.ip_address(address)
        inside = "%" not in address and (parsed in BENCHMARK_BLOCK or parsed in DOCUMENTATION_BLOCK)
    except ValueError:
        inside = False
    if not inside:
        blocks = f"{BENCHMARK_BLOCK} or {DOCUMENTATION_BLOCK}"
        raise UnsafeAddress(f"{address!r} is not an address of {blocks}: the lab uses no other")


def family_of(address: str) -> Family:
    """Return the family of an address."""
    return Family.IPV6 if ":" in address else Family.IPV4


def socket_family(address: str) -> socket.AddressFamily:
    """Return the family of an address as sockets name it."""
    return _SOCKET_FAMILY[family_of(address)]


def has_ipv6_loopback() -> bool:
    """Whether this machine has the address ::1, at which a world in process has its IPv6 hosts."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind((_LOOPBACK[Family.IPV6], 0))
    except OSError:
        return False
    return True


def _require_loopback() -> None:
    """Raise `NoLoopback` where 127.0.0.1 cannot be reached, as in a new network namespace. It can be bound there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((_LOOPBACK[Family.IPV4], 9))  # of UDP that looks up the route, and sends nothing
        except OSError as error:
            raise NoLoopback(
                f"this machine cannot reach its own address {_LOOPBACK[Family.IPV4]} ({error.strerror}), and the lab "
                "needs that: is the interface lo up?  ip link set lo up"
            ) from error


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
    """Virtual addresses in process: each address and port is an ephemeral port of 127.0.0.1, or ::1 for an IPv6 one.

    Needs no privileges. Without ::1 on the machine there are no IPv6 addresses.
    """

    def __init__(self) -> None:
        """Raises `NoLoopback`."""
        _require_loopback()
        self._book: dict[tuple[str, int, str], tuple[str, int]] = {}
        # Bound and never listened on or read: whoever dials is refused, and nobody else can take the port meanwhile.
        # They go with the address book, which has no end of its own: a target may dial until the very last moment.
        self._nobody: dict[tuple[Family, str], tuple[str, int]] = {}
        families = (Family.IPV4, Family.IPV6) if has_ipv6_loopback() else (Family.IPV4,)
        kinds = (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM))
        for family, (transport, kind) in itertools.product(families, kinds):
            sock = socket.socket(_SOCKET_FAMILY[family], kind)
            sock.bind((_LOOPBACK[family], 0))
            self._nobody[family, transport] = sock.getsockname()[:2]
            weakref.finalize(self, sock.close)

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """See `Network`. An address that is not listened on leads to a port that refuses (by UDP: never answers)."""
        nobody = self._nobody_in(address, transport)
        return self._book.get((address, port, transport), nobody)

    def open_port(self, address: str, port: int, on_connection: OnConnection) -> Listener:
        """See `Network`."""
        key = self._free_key(address, port, "tcp")
        sock = _bound_socket(_LOOPBACK[family_of(address)], 0)
        self._book[key] = sock.getsockname()[:2]
        accepting = _accept(sock, on_connection)

        def stop() -> None:
            self._book.pop(key, None)
            accepting.close()

        return Listener(stop)

    async def listen_datagrams(self, address: str, port: int, factory: MakeProtocol) -> Listener:
        """See `Network`."""
        key = self._free_key(address, port, "udp")
        transport = _bound_datagrams(_LOOPBACK[family_of(address)], 0, factory)
        self._book[key] = transport.get_extra_info("sockname")[:2]

        def stop() -> None:
            self._book.pop(key, None)
            transport.close()

        return Listener(stop)

    def _nobody_in(self, address: str, transport: str) -> tuple[str, int]:
        require_lab_address(address)
        try:
            return self._nobody[family_of(address), transport]
        except KeyError:
            raise UnsafeAddress(f"{address} cannot be used: this machine has no address ::1") from None

    def _free_key(self, address: str, port: int, transport: str) -> tuple[str, int, str]:
        self._nobody_in(address, transport)
        key = (address, port, transport)
        if key in self._book:
            raise AddressInUse(f"cannot listen on {address} port {port}: another host of this lab does")
        return key


class PrefixNetwork:
    """Virtual addresses in a container whose kernel was told that whole prefixes are local to it."""

    def __init__(self, *prefixes: str) -> None:
        """Raises `UnsafeAddress` for a prefix outside of the lab's blocks, and `ValueError` for what is none."""
        for prefix in prefixes:
            block = ipaddress.ip_network(prefix)
            if isinstance(block, ipaddress.IPv4Network):
                inside = block.subnet_of(BENCHMARK_BLOCK)
            else:
                inside = block.subnet_of(DOCUMENTATION_BLOCK)
            if not inside:
                blocks = f"{BENCHMARK_BLOCK} or {DOCUMENTATION_BLOCK}"
                raise UnsafeAddress(f"{prefix} is not part of {blocks}: the lab uses no other")

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
        transport = _bound_datagrams(address, port, factory)
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
    sock = socket.socket(socket_family(address), socket.SOCK_STREAM)
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


#: So many datagrams are read before the event loop goes on to something else; answering them takes it about 20 ms.
_DATAGRAMS_AT_ONCE = 16


class _DatagramSocket(asyncio.DatagramTransport):
    """A UDP socket that gives its protocol all that has come in whenever the event loop gets to it.

    asyncio's own reads one datagram in each iteration of the loop: with 120 cases at one time a query waited for 0.2 s,
    most of them for other queries, and beside three busy loops for up to 1.1 s. Needs a selector event loop.
    """

    def __init__(self, sock: socket.socket, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__({"socket": sock, "sockname": sock.getsockname()})
        self._sock = sock
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        protocol.connection_made(self)
        self._loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            if self.is_closing():
                return
            try:
                data, address = self._sock.recvfrom(_LARGEST_DATAGRAM)
            except OSError:
                return  # nothing more, or an error of an earlier answer, whose asker is gone
            self._protocol.datagram_received(data, address)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram, or lose it, as UDP may, where there is no room for it or nobody to take it."""
        with contextlib.suppress(OSError):
            self._sock.sendto(data, addr)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._sock.fileno() == -1

    def close(self) -> None:
        """Stop at once. Calling it again does nothing."""
        if not self.is_closing():
            self._loop.remove_reader(self._sock)
            self._sock.close()


def _bound_datagrams(address: str, port: int, factory: MakeProtocol) -> _DatagramSocket:
    sock = socket.socket(socket_family(address), socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise AddressInUse(
            f"cannot receive on {address} port {port} (UDP): {error.strerror}; is another lab using it?"
        ) from error
    return _DatagramSocket(sock, factory())


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
