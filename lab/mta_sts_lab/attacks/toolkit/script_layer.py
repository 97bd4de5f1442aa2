"""Plays an attack script on two connections, as a layer of mitmproxy: events in, commands out, no sockets."""

from __future__ import annotations

from typing import Protocol

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, context, events, layer

from mta_sts_lab.attacks.toolkit.instructions import (
    Arrived,
    FinishSending,
    LeaveTls,
    Receive,
    Script,
    SecureReceiver,
    SecureSender,
    Send,
    Shown,
    Side,
)
from mta_sts_lab.attacks.toolkit.interpose_tls import Handshake, ReceiverTls, TargetTls


class ProxyHost(Protocol):
    """The callbacks that a script needs besides its two connections."""

    @property
    def ended(self) -> bool:
        """Whether the session is over."""

    def failed(self, where: str, error: BaseException) -> None:
        """Record an exception of the lab's own."""

    def secure(self, shown: Shown) -> Handshake:
        """Begin TLS with the target, with this server side. Return the object that records the handshake."""

    def take_from_wire(self, octets: bytes) -> None:
        """Take octets that the target sent while TLS was up or beginning: TLS records, or clear text."""

    def sender_left(self) -> None:
        """Record that the target ended its connection before the script did."""


class ScriptRunner:
    """A running script, one for each session. The script layers of the session share it.

    While it `leaves_tls` no layer inside TLS may resume it.
    """

    def __init__(self, proxy_host: ProxyHost, script: Script) -> None:
        self.proxy_host = proxy_host
        self.script = script
        self.over = False
        self.leaves_tls = False

    def finish(self) -> None:
        """End the script."""
        self.over = True
        self.script.close()


class ScriptLayer(layer.Layer):
    """Plays the script while both connections are in clear, or, with a TLS layer around this one, inside TLS.

    When the script starts TLS, a TLS layer with another `ScriptLayer` inside takes over, until the target's handshake
    fails, or its TLS ends and the script goes on in clear.
    """

    def __init__(self, here: context.Context, runner: ScriptRunner, first: bool = False) -> None:
        super().__init__(here)
        self._runner = runner
        self._first = first
        self._inner: TargetTls | ReceiverTls | None = None
        self._sender_left = False

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            if self._inner is None:
                yield from self._happened(event)
            else:
                yield from self._pass_inside(self._inner, event)
        except Exception as error:  # noqa: BLE001 - recorded; mitmproxy would log it and let the session hang
            self._runner.proxy_host.failed("script", error)
            yield from self._close()

    def _pass_inside(self, inner: TargetTls | ReceiverTls, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(inner, ReceiverTls):
            yield from inner.handle_event(event)
            return
        if isinstance(event, events.DataReceived) and event.connection == self.context.client:
            self._runner.proxy_host.take_from_wire(event.data)
        elif isinstance(event, events.ConnectionClosed) and event.connection == self.context.client:
            self._sender_left = True
            if not self._runner.over:
                self._runner.proxy_host.sender_left()
        yield from inner.handle_event(event)
        yield from self._come_back(inner)

    def _come_back(self, inner: TargetTls) -> layer.CommandGenerator[None]:
        """Go on in clear when TLS with the target has ended."""
        if self._runner.over or not (inner.failed or self._runner.leaves_tls):
            return
        yield from inner.take_leave()
        self._runner.leaves_tls = False
        self._inner = None
        yield from self._advance(not inner.failed)
        if self._sender_left and not self._runner.over:
            yield from self._advance(Arrived(Side.SENDER, b""))

    def _happened(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._runner.over or self._runner.leaves_tls:
            # What else one segment held is inside TLS that the script has left: it waits for the stage around it.
            return
        if isinstance(event, events.Start):
            if self._first:
                error = yield commands.OpenConnection(self.context.server)
                if self._runner.proxy_host.ended:
                    # The attempt to connect ended with the session.
                    self._runner.finish()
                    return
                if error:
                    raise ConnectionError(f"the genuine host's back door: {error}")
            # A generator begins with None; a stage inside TLS begins with a handshake that was finished.
            yield from self._advance(None if self._first else True)
        elif isinstance(event, events.DataReceived):
            yield from self._advance(Arrived(self._side(event.connection), event.data))
        elif isinstance(event, events.ConnectionClosed):
            if self._side(event.connection) is Side.SENDER:
                self._runner.proxy_host.sender_left()
            yield from self._advance(Arrived(self._side(event.connection), b""))

    def _advance(self, answer: Arrived | bool | None) -> layer.CommandGenerator[None]:
        """Resume the script until it waits, ends, or starts TLS."""
        while True:
            try:
                instruction = self._runner.script.send(answer)
            except StopIteration:
                yield from self._close()
                return
            answer = None
            match instruction:
                case Receive():
                    return
                case Send(side, octets) if octets:
                    yield commands.SendData(self._connection(side), octets)
                case FinishSending(side):
                    yield commands.CloseTcpConnection(self._connection(side), half_close=True)
                case SecureSender(shown, leftover):
                    handshake = self._runner.proxy_host.secure(shown)
                    self._runner.proxy_host.take_from_wire(leftover)
                    around = TargetTls(self.context, handshake, stays_open=True)
                    yield from self._descend(around, self.context.client, leftover)
                    yield from self._come_back(around)
                    return
                case LeaveTls():
                    self._runner.leaves_tls = True
                    return
                case SecureReceiver(leftover):
                    yield from self._descend(ReceiverTls(self.context), self.context.server, leftover)
                    return

    def _descend(
        self, around: TargetTls | ReceiverTls, secured: Connection, leftover: bytes
    ) -> layer.CommandGenerator[None]:
        """Go on inside TLS. What was read too far is part of the handshake (a pipelined ClientHello)."""
        around.child_layer = ScriptLayer(self.context, self._runner)
        self._inner = around
        yield from around.handle_event(events.Start())
        if leftover:
            yield from around.handle_event(events.DataReceived(secured, leftover))

    def _close(self) -> layer.CommandGenerator[None]:
        self._runner.finish()
        yield commands.CloseConnection(self.context.server)
        yield commands.CloseConnection(self.context.client)

    def _side(self, ends_at: Connection) -> Side:
        return Side.SENDER if ends_at == self.context.client else Side.RECEIVER

    def _connection(self, side: Side) -> Connection:
        return self.context.client if side is Side.SENDER else self.context.server
