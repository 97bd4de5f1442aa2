from __future__ import annotations

from mitmproxy import connection, options
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import tls
from mta_sts_lab.attacks.toolkit.interpose_tls import ReceiverTls, client_connection


class _PassesOn(layer.Layer):
    """Sends to the server whatever the client says."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived) and event.connection is self.context.client:
            yield commands.SendData(self.context.server, event.data)


def _play(top: layer.Layer, event: events.Event) -> list[commands.Command]:
    """Let a layer deal with an event, and answer its hooks. Return what else it wants done."""
    wanted: list[commands.Command] = []
    for command in top.handle_event(event):
        if isinstance(command, tls.TlsStartServerHook):
            command.data.ssl_conn = client_connection("mx1.domain.example")
        if isinstance(command, commands.StartHook):
            wanted += _play(top, events.HookCompleted(command, None))
        else:
            wanted.append(command)
    return wanted


def test_what_waited_for_a_handshake_that_broke_is_dropped() -> None:
    """A sender that leaves at once, and a step that ends while the receiver's handshake is still on its way."""
    client = connection.Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 25), timestamp_start=0)
    here = context.Context(client, options.Options())
    here.server.address = ("127.0.0.1", 2)
    here.server.state = connection.ConnectionState.OPEN
    top = ReceiverTls(here)
    top.child_layer = _PassesOn(here)
    (hello,) = _play(top, events.Start())
    assert isinstance(hello, commands.SendData)
    assert _play(top, events.DataReceived(client, b"QUIT\r\n")) == []
    here.server.state = connection.ConnectionState.CLOSED
    left = _play(top, events.ConnectionClosed(here.server))
    assert [command for command in left if isinstance(command, commands.SendData)] == []
    assert here.server.error == "connection closed"
