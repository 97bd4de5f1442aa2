"""What MX hosts, policy hosts and the report host have in common: they accept connections, perhaps through an attacker.

A host has one address, or one of each family. Every connection is on record from its first to its last moment, and no
exception in between gets lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from aiohttp import web

from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import ATTACK_SESSION, SESSION_IDLE
from mta_sts_lab.world.network import Listener, Network, family_of, socket_family
from mta_sts_lab.world.path import Accepted, Path, StraightPath
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.tls import Certificates, ServerTls, Witness

HTTP_PORT = 80
HTTPS_PORT = 443

#: Octets of a request over plain HTTP that are read before it is answered.
_LONGEST_REQUEST = 8192

# A target may send any nonsense: aiohttp answers it with 400 and would print a traceback.
_silent = logging.getLogger("mta_sts_lab.world.host")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


#: One end of a connection: address and port.
_End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class HostServices:
    """What all hosts of a run share."""

    network: Network
    recorder: Recorder
    certificates: Certificates
    #: Both ends of the lab's own connections by which it sees whether a host answers; see `AcceptingHost.visit`. One
    #: end is not enough: the kernel gives one port to several connections when they go to different hosts. With each:
    #: what says that it has arrived, and whether it is to be served.
    witnesses: dict[tuple[_End, _End], tuple[asyncio.Future[None], bool]] = field(default_factory=dict)
    _sessions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def next_session(self) -> str:
        """Return a name for a session that no other session of the run has."""
        return f"s{next(self._sessions)}"


class AcceptingHost(ABC):
    """A host at virtual addresses and one port.

    It keeps them when its settings change or somebody steps on its path.
    """

    def __init__(
        self, services: HostServices, case: str, role: str, name: str, addresses: Sequence[str], port: int
    ) -> None:
        self.case = case
        self.role = role
        self.name = name
        self.addresses = tuple(addresses)
        self.port = port
        self._services = services
        self._path: Path = StraightPath()
        self._reachable = False
        self._dead: Family | None = None
        self._closed = False
        self._listeners: dict[str, Listener] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """The first of its addresses."""
        return self.addresses[0]

    @property
    def path(self) -> Path:
        """Who stands between the network and this host. One that `refuses` makes the port refuse at once."""
        return self._path

    @path.setter
    def path(self, path: Path) -> None:
        self._path = path
        self._listen_or_not()

    @property
    def reachable(self) -> bool:
        """Whether the host answers on its port, as far as it is up to the host."""
        return self._reachable

    @reachable.setter
    def reachable(self, reachable: bool) -> None:
        self._reachable = reachable
        self._listen_or_not()

    @property
    def dead(self) -> Family | None:
        """The family in which the host does not answer, although it has an address there."""
        return self._dead

    @dead.setter
    def dead(self, dead: Family | None) -> None:
        self._dead = dead
        self._listen_or_not()

    @property
    def listens_at(self) -> tuple[str, ...]:
        """The addresses at which the host should take connections now."""
        return tuple(self._listeners)

    @contextlib.asynccontextmanager
    async def visit(self, address: str, served: bool = True) -> AsyncIterator[socket.socket]:
        """Yield a connection of the lab's own, of which nothing goes on record: one that has arrived at an address.

        The host serves it like any other; one that is not to be `served` is closed at once, which costs next to
        nothing. Raises `OSError` where nobody takes it, and waits for ever where it arrives at somebody else.
        """
        with socket.socket(socket_family(address), socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            there = self._services.network.where(address, self.port)
            begun = sock.connect_ex(there)
            # On Linux a local port has refused by now; elsewhere nobody arrives, and that takes the time of the caller.
            failed = (
                begun if begun not in (0, errno.EINPROGRESS) else sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            )
            if failed:
                raise OSError(failed, os.strerror(failed))
            ends: tuple[_End, _End] = (sock.getsockname()[:2], there)
            arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._services.witnesses[ends] = arrived, served
            try:
                await arrived
            finally:
                self._services.witnesses.pop(ends, None)
            yield sock

    async def serve(self, accepted: Accepted) -> None:
        """See `path.Host`."""
        await self._speak(accepted, via="")

    async def back_door(self, via: str, address: str) -> tuple[str, int]:
        """See `path.Host`. The door closes after one visitor, or when an attacker's session can last no longer."""
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        door.bind(("127.0.0.1", 0))
        door.listen(1)
        door.setblocking(False)
        where: tuple[str, int] = door.getsockname()
        visit = asyncio.get_running_loop().create_task(self._await_visitor(door, address, via))
        # Not in the task itself, which may be cancelled before it starts.
        visit.add_done_callback(lambda _: door.close())
        self._keep(visit)
        return where

    async def close(self) -> None:
        """Stop listening and end every session."""
        self._closed = True
        self._listen_or_not()
        await self.end_sessions()

    async def end_sessions(self) -> None:
        """End every session that is open now. Who comes again finds the host as it is then."""
        open_now = tuple(self._tasks)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    @abstractmethod
    async def _speak(self, accepted: Accepted, via: str) -> None:
        """Serve a connection until it ends, and close its socket whatever happens."""

    def _listen_or_not(self) -> None:
        open_now = self._reachable and not self._path.refuses and not self._closed
        for address in self.addresses:
            wanted = open_now and family_of(address) is not self._dead
            if wanted and address not in self._listeners:
                taken = partial(self._on_connection, address)
                self._listeners[address] = self._services.network.open_port(address, self.port, taken)
            elif not wanted and address in self._listeners:
                self._listeners.pop(address).close()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_connection(self, address: str, sock: socket.socket) -> None:
        task = asyncio.current_task()
        if self._closed or task is None:
            sock.close()
            return
        self._keep(task)
        witness = self._services.witnesses.pop((_end_of(sock), sock.getsockname()[:2]), None)
        if witness is None:
            await self._receive(sock, address, via="")
            return
        arrived, served = witness
        served = served and not arrived.done()
        if not arrived.done():
            arrived.set_result(None)
        if served:
            await self._receive_witness(sock, address)
        else:
            sock.close()

    async def _await_visitor(self, door: socket.socket, address: str, via: str) -> None:
        try:
            async with asyncio.timeout(ATTACK_SESSION.seconds):
                sock, _ = await asyncio.get_running_loop().sock_accept(door)
        except TimeoutError:
            return
        door.close()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._receive(sock, address, via)

    async def _receive_witness(self, sock: socket.socket, address: str) -> None:
        try:
            await self._speak(self._accepted(sock, address, "", Recorder()), via="")
        except Exception as error:  # noqa: BLE001 - recorded
            self._services.recorder.lab_failed(f"the lab's own session with {self.role} {self.name}", error, self.case)
            _hang_up(sock)

    def _accepted(self, sock: socket.socket, address: str, session: str, recorder: Recorder) -> Accepted:
        return Accepted(sock, session, self.case, self.role, self.name, address, self.port, recorder)

    async def _receive(self, sock: socket.socket, address: str, via: str) -> None:
        """Put a connection on record and hand it over: to the path, or, at the back door, to the host itself."""
        recorder = self._services.recorder
        session = self._services.next_session()
        peer, peer_port = _end_of(sock)
        accepted = self._accepted(sock, address, session, recorder)
        recorder.write(
            ConnectionAccepted(
                session=session,
                role=self.role,
                host=self.name,
                address=address,
                port=self.port,
                via=via,
                peer=peer,
                peer_port=peer_port,
                own_port=int(sock.getsockname()[1]),
            ),
            self.case,
        )
        try:
            if via:
                await self._speak(accepted, via)
            else:
                await self._path.take(accepted, self)
        except Exception as error:  # noqa: BLE001 - recorded
            recorder.lab_failed(f"session {session} with {self.role} {self.name}", error, self.case, session)
            _hang_up(sock)
        finally:
            recorder.write(ConnectionClosed(session=session), self.case)


class HttpsHost(AcceptingHost):
    """A host that speaks HTTP/1.1 inside TLS."""

    async def _speak(self, accepted: Accepted, via: str) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await self._answer(request, accepted, tls.sni)
            except web.HTTPException:
                raise
            except (OSError, web.RequestPayloadError):
                return web.Response(status=400)  # the client left, or what it sent is no body
            except Exception as error:  # noqa: BLE001 - recorded
                where = f"request in session {accepted.session} to {self.name}"
                accepted.recorder.lab_failed(where, error, self.case, accepted.session)
                return web.Response(status=500)

        server = web.Server(
            handle,
            handler_cancellation=True,
            keepalive_timeout=SESSION_IDLE.seconds,
            access_log=None,
            logger=_silent,
        )
        witness = Witness(accepted.recorder, accepted.session, self.case)
        tls = ServerTls(server(), self._services.certificates, self._choose_credentials, witness, alpn=("http/1.1",))
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: tls, accepted.sock)
        except BaseException:
            accepted.sock.close()
            raise
        try:
            await tls.closed.wait()
        finally:
            tls.give_up()
            if not tls.closed.is_set():  # asyncio fails to abort a transport that was closed with octets left to send
                transport.abort()
            await tls.closed.wait()
            # aiohttp has cancelled the request with the connection; it needs a turn to end, and has no event for that.
            while server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def _choose_credentials(self, sni: str) -> Credentials | None:
        """RFC 8461, section 7.1: the chain that matches the server name asked for, or none at all."""
        if sni != self.name:
            return None
        return self._services.certificates.authority.credentials(self._certificate_variant(), self.name)

    def _certificate_variant(self) -> str:
        """Return the variant that is shown now."""
        return "valid"

    @abstractmethod
    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        """Answer a request. Exceptions are recorded as the lab's, except aiohttp's own refusals."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a request over plain HTTP is answered with."""

    body: bytes = b""
    media_type: str = "text/plain"
    status: int = 200


class HttpHost(AcceptingHost):
    """A host that speaks HTTP/1.1 in clear, and answers one request in a connection."""

    async def _speak(self, accepted: Accepted, via: str) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted.sock, limit=_LONGEST_REQUEST)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
                async with asyncio.timeout(SESSION_IDLE.seconds):
                    head = await reader.readuntil(b"\r\n\r\n")
                    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
                    found = self._document(method, rest.partition(" ")[0], accepted)
                    line = f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}\r\n"
                    fields = f"Content-Type: {found.media_type}\r\nContent-Length: {len(found.body)}\r\n"
                    body = found.body if method != "HEAD" else b""
                    writer.write(f"{line}{fields}Connection: close\r\n\r\n".encode() + body)
                    await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @abstractmethod
    def _document(self, method: str, path: str, accepted: Accepted) -> Document:
        """Return the answer to a request. Both words are as the client wrote them."""


def _end_of(sock: socket.socket) -> _End:
    """Return the address and port of the other end; an empty one if it is gone already."""
    try:
        address, port = sock.getpeername()[:2]
    except OSError:
        return "", 0
    return str(address), int(port)


def _hang_up(sock: socket.socket) -> None:
    """End a connection whose handler failed. A transport that has the socket must close it itself."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    try:
        asyncio.get_running_loop().remove_reader(sock)
    except (RuntimeError, ValueError):
        return  # asyncio's way to say that a transport has it, or that it is closed already
    sock.close()
