"""Plays attack scripts on real connections, with mitmproxy's layers and without mitmproxy's application.

One `LiveConnectionHandler` for each connection that a host of the lab accepted: no Master, no addons, no certificates
on disk, no state outside the handler. With `script_layer` and `interpose_tls` this is the only place that imports
`mitmproxy.proxy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Optional

from mitmproxy import options
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, context, mode_specs, server, server_hooks
from mitmproxy.proxy.layers import http, tls

from mta_sts_lab.attacks.toolkit.attack import Parameters, SmtpAttack
from mta_sts_lab.attacks.toolkit.instructions import Script, Shown
from mta_sts_lab.attacks.toolkit.interpose_tls import AttackedConnection, Handshake, TargetTls, client_connection
from mta_sts_lab.attacks.toolkit.script_layer import ScriptLayer, ScriptRunner
from mta_sts_lab.attacks.toolkit.session import Session, fire_once
from mta_sts_lab.events import ClientHelloSeen, DeadlinePassed, SenderLeft
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import ATTACK_SESSION, Deadline
from mta_sts_lab.world.path import Accepted, Host
from mta_sts_lab.world.pki import Authority

# mitmproxy compares option types with this very form, which is not equal to `str | None`.
_TEXT_OR_NONE = Optional[str]  # noqa: UP045

#: The options that mitmproxy's HTTP layer reads beside the built-in ones, declared by hand: the addon that does it
#: otherwise imports every other addon (0.2 s). A policy request has no body to speak of; whoever sends one must not
#: fill the lab's memory.
_HTTP_OPTIONS: dict[str, tuple[object, object]] = {
    "body_size_limit": (_TEXT_OR_NONE, "1m"),
    "connection_strategy": (str, "lazy"),
    "keep_host_header": (bool, True),
    "normalize_outbound_headers": (bool, True),
    "store_streamed_bodies": (bool, False),
    "stream_large_bodies": (_TEXT_OR_NONE, None),
    "validate_inbound_headers": (bool, True),
}


#: A placeholder for the genuine host's address until mitmproxy connects; then the real address is set.
_NOWHERE = ("127.0.0.1", 0)


class UnsafeUpstream(Exception):
    """The genuine host is not on loopback. Attackers connect to loopback only."""


@functools.cache
def _options() -> options.Options:
    """Return the options of every session. Nobody writes to them."""
    chosen = options.Options()
    for name, (kind, value) in _HTTP_OPTIONS.items():
        if name not in chosen:
            chosen.add_option(name, kind, value, "")
    chosen.update(websocket=False, rawtcp=False)  # type: ignore[no-untyped-call]
    return chosen


class _Handler(server.LiveConnectionHandler):
    """One connection of the target, and the attacker's own to the genuine host."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, attacked: AttackedConnection
    ) -> None:
        # The mode is only a label here: it chooses nothing, and makes mitmproxy rewrite nothing.
        super().__init__(reader, writer, _options(), mode_specs.ProxyMode.parse("regular"))
        self.attacked = attacked
        self._writer = writer
        self._begun = asyncio.Event()
        self._broken = False
        self._ended = False
        self._sender_left = False
        self._handshake: Handshake | None = None
        self._session: Session | None = None
        self._script: Script | None = None

    @property
    def _here(self) -> context.Context:
        here = self.layer.context
        here.server.address = _NOWHERE
        return here

    def play(self, session: Session, script: Script) -> None:
        """Play an attack script in this session."""
        self._session, self._script = session, script
        self.layer = ScriptLayer(self._here, ScriptRunner(self, script), first=True)

    def intercept_http(self, attack: str, shown: Shown, fire: Callable[[str], None]) -> None:
        """End HTTPS in this session, and pass requests on over HTTPS."""
        here = self._here
        self._handshake = Handshake(self.attacked, attack, shown, fire)
        self.layer = tls.ServerTLSLayer(here)
        self.layer.child_layer = TargetTls(here, self._handshake)
        self.layer.child_layer.child_layer = http.HttpLayer(here, http.HTTPMode.transparent)

    async def run(self) -> None:
        """Play the session to its end, and until its last octets have left."""
        try:
            await self.handle_client()
        finally:
            if self._script is not None:
                self._script.close()
            # mitmproxy leaves it open when its own task is cancelled before it has begun.
            self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def end(self) -> None:
        """End the session from outside. `run` then returns."""
        await self._begun.wait()
        self._ended = True
        if self._handshake is not None:
            self._handshake.dismiss()
        await self.on_timeout()
        self.abort()

    @property
    def ended(self) -> bool:
        """See `script_layer.ProxyHost`."""
        return self._ended or self.client.state is ConnectionState.CLOSED

    def abort(self) -> None:
        """Close the target's connection at once, with whatever was still to be sent."""
        self._writer.transport.abort()

    def failed(self, where: str, error: BaseException) -> None:
        """See `script_layer.ProxyHost`. What fails behind the first failure follows from it, and is not recorded."""
        if not self._broken:
            self._broken = True
            self.attacked.failed(where, error)

    def secure(self, shown: Shown) -> Handshake:
        """See `script_layer.ProxyHost`."""
        assert self._session is not None
        self._handshake = Handshake(self.attacked, self._session.attack, shown, self._session.fire)
        return self._handshake

    def take_from_wire(self, octets: bytes) -> None:
        """See `script_layer.ProxyHost`."""
        assert self._session is not None
        self._session.take_from_wire(octets)

    def sender_left(self) -> None:
        """See `script_layer.ProxyHost`. The end of a session that was ended from outside is nobody's leaving."""
        if not self._ended and not self._sender_left:
            self._sender_left = True
            self.attacked.record(SenderLeft(session=self.attacked.accepted.session))

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Answer what mitmproxy's layers ask. An exception here would leave the layer waiting for ever."""
        try:
            await self._answer(hook)
        except Exception as error:  # noqa: BLE001 - recorded, and the session ended
            self._broke(hook.name, error)

    async def _answer(self, hook: commands.StartHook) -> None:
        match hook:
            case server_hooks.ClientConnectedHook():
                self._begun.set()
            case server_hooks.ServerConnectHook(data):
                # Unless this is taken back mitmproxy connects, whatever went wrong here.
                data.server.error = "no way to the genuine host"
                data.server.address = await self._back_door()
                data.server.error = None
            case tls.TlsClienthelloHook(data):
                sni = data.client_hello.sni or ""
                self.attacked.record(ClientHelloSeen(session=self.attacked.accepted.session, sni=sni))
            case tls.TlsStartClientHook(data) if self._handshake is not None:
                data.ssl_conn = self._handshake.connection()
            case tls.TlsStartServerHook(data):
                # The genuine host must see the name that the target asked for, or that it asked for none.
                data.ssl_conn = client_connection(self.client.sni or "")
            case tls.TlsEstablishedClientHook(data) if self._handshake is not None:
                self._handshake.established(data.conn.tls_version or "", data.conn.sni or "")
            case tls.TlsFailedServerHook(data) if not self.ended:
                raise ConnectionError(f"TLS with {self.attacked.host.name}: {data.conn.error}")

    async def _back_door(self) -> tuple[str, int]:
        accepted = self.attacked.accepted
        where = await self.attacked.host.back_door(accepted.session, accepted.address)
        if not ipaddress.ip_address(where[0]).is_loopback:
            raise UnsafeUpstream(f"{self.attacked.host.name} is said to be at {where[0]}, which is not on loopback")
        return where

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: bool | tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
    ) -> None:
        """Record mitmproxy's errors as errors in the lab."""
        if level >= logging.ERROR:
            error = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1]
            self._broke("mitmproxy", error or RuntimeError(message))

    def _broke(self, where: str, error: BaseException) -> None:
        self.failed(where, error)
        connection = self.transports.get(self.client)
        if connection is not None and connection.handler is not None:
            connection.handler.cancel("the lab failed")


class Interposer:
    """Takes every connection to one host, until it is closed.

    `begin` says what is done with each: `play_script` or `show_certificate`.
    """

    refuses = False

    def __init__(
        self,
        begin: Callable[[_Handler], None],
        recorder: Recorder,
        authority: Authority,
        deadline: Deadline = ATTACK_SESSION,
    ) -> None:
        self._begin = begin
        self._recorder = recorder
        self._authority = authority
        self._deadline = deadline
        self._live: dict[asyncio.Future[None], _Handler | None] = {}
        self._closed = False

    async def take(self, accepted: Accepted, host: Host) -> None:
        """See `mta_sts_lab.world.path.Path`. A session that outlives its deadline is ended, and the record says so."""
        attacked = AttackedConnection(accepted, host, self._recorder, self._authority)
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._live[over] = None
        try:
            handler = await _handler(attacked)
            try:
                # The step may have ended since the connection was accepted.
                if not self._closed:
                    self._live[over] = handler
                    self._begin(handler)
                    await self._to_the_end(handler)
            finally:
                handler.abort()
        finally:
            del self._live[over]
            over.set_result(None)

    async def _to_the_end(self, handler: _Handler) -> None:
        running = asyncio.ensure_future(handler.run())
        try:
            done, _ = await asyncio.wait({running}, timeout=self._deadline.seconds)
            if not done:
                name, seconds = self._deadline.name, self._deadline.seconds
                waited_for = f"the end of a session with {handler.attacked.host.name}"
                handler.attacked.record(DeadlinePassed(deadline=name, seconds=seconds, waited_for=waited_for))
        finally:
            # mitmproxy's watchdogs stay behind when its tasks are cancelled from outside; `end` lets them go.
            if not running.done():
                await handler.end()
                await asyncio.wait({running})
        await running

    async def close(self) -> None:
        """End every live session, and return when nothing is left of them."""
        self._closed = True
        live = dict(self._live)
        for handler in filter(None, live.values()):
            await handler.end()
        if live:
            await asyncio.wait(set(live))


def play_script(attack: SmtpAttack, parameters: Parameters) -> Callable[[_Handler], None]:
    """Return a function that plays an attack script on an SMTP connection."""

    def begin(handler: _Handler) -> None:
        attacked = handler.attacked
        session = Session(attack.form.name, attacked.accepted.session, attacked.host.name, attacked.record)
        handler.play(session, session.whole(attack.play(session, parameters)))

    return begin


def show_certificate(attack: str, certificate: str) -> Callable[[_Handler], None]:
    """Return a function that ends HTTPS with another certificate, and passes requests on."""

    def begin(handler: _Handler) -> None:
        fire = fire_once(handler.attacked.record, attack, "https", handler.attacked.accepted.session)
        shown = Shown(certificate, f"ended HTTPS at the attacker and showed a certificate: {certificate}")
        handler.intercept_http(attack, shown, fire)

    return begin


async def _handler(attacked: AttackedConnection) -> _Handler:
    """Make streams of an accepted socket. Raises `OSError`, with the socket closed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    attacked.accepted.sock.setblocking(False)
    try:
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, attacked.accepted.sock)
    except OSError:
        attacked.accepted.sock.close()
        raise
    return _Handler(reader, asyncio.StreamWriter(transport, protocol, reader, loop), attacked)
