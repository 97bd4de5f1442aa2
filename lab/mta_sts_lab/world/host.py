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
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed
from mta_sts_lab.model import Family
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import ATTACK_SESSION, SESSION_IDLE, WITNESS
from mta_sts_lab.world.network import Listener, Network, family_of, socket_family
from mta_sts_lab.world.path import Accepted, Path, StraightPath
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.tls import Certificates, ServerTls, Witness

HTTPS_PORT = 443

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
    #: Both ends of the lab's own connections by which it sees whether a host answers; see `AcceptingHost.answers`. One
    #: end is not enough: the kernel gives one port to several connections when they go to different hosts.
    witnesses: dict[tuple[_End, _End], asyncio.Future[None]] = field(default_factory=dict)
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
    def listening(self) -> bool:
        """Whether the host should take connections now, at one of its addresses at least."""
        return bool(self._listeners)

    async def answers(self, seconds: float = WITNESS.seconds) -> bool:
        """Whether connections to the host arrive here, at each address at which it should take them.

        They are the lab's own: nothing of them goes on record.
        """
        return all([await self._answers_at(address, seconds) for address in self._listeners])

    async def _answers_at(self, address: str, seconds: float) -> bool:
        with socket.socket(socket_family(address), socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            there = self._services.network.where(address, self.port)
            begun = sock.connect_ex(there)
            if begun not in (0, errno.EINPROGRESS):
                return False
            ends: tuple[_End, _End] = (sock.getsockname()[:2], there)
            arrived = self._services.witnesses[ends] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await arrived
            except TimeoutError:
                return False
            finally:
                self._services.witnesses.pop(ends, None)
        return True

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
        arrived = self._services.witnesses.pop((_end_of(sock), sock.getsockname()[:2]), None)
        if arrived is not None and not arrived.done():
            arrived.set_result(None)
        if arrived is not None or self._closed or task is None:
            sock.close()
            return
        self._keep(task)
        await self._receive(sock, address, via="")

    async def _await_visitor(self, door: socket.socket, address: str, via: str) -> None:
        try:
            async with asyncio.timeout(ATTACK_SESSION.seconds):
                sock, _ = await asyncio.get_running_loop().sock_accept(door)
        except TimeoutError:
            return
        door.close()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._receive(sock, address, via)

    async def _receive(self, sock: socket.socket, address: str, via: str) -> None:
        """Put a connection on record and hand it over: to the path, or, at the back door, to the host itself."""
        recorder = self._services.recorder
        session = self._services.next_session()
        accepted = Accepted(sock, session, self.case, self.role, self.name, address, self.port)
        recorder.write(
            ConnectionAccepted(
                session=session,
                role=self.role,
                host=self.name,
                address=address,
                port=self.port,
                via=via,
                peer=_peer_of(sock),
            ),
            self.case,
        )
        try:
            if via:
                await self._speak(accepted, via)
            else:
                await self._path.take(accepted, self)
        except Exception as error:  # noqa: BLE001 - recorded
            recorder.lab_failed(f"session {session} with {self.role} {self.name}", error, self.case)
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
                self._services.recorder.lab_failed(where, error, self.case)
                return web.Response(status=500)

        server = web.Server(
            handle,
            handler_cancellation=True,
            keepalive_timeout=SESSION_IDLE.seconds,
            access_log=None,
            logger=_silent,
        )
        witness = Witness(self._services.recorder, accepted.session, self.case)
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


def _peer_of(sock: socket.socket) -> str:
    """Return the address of the other end; empty if it is gone already."""
    return _end_of(sock)[0]


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
