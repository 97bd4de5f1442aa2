"""A stage inside TLS, without any TLS around it."""

from __future__ import annotations

from mitmproxy import options
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy import context, events
from mta_sts_lab.attacks.toolkit.instructions import Arrived, LeaveTls, Receive, Script, Side
from mta_sts_lab.attacks.toolkit.interpose_tls import Handshake
from mta_sts_lab.attacks.toolkit.script_layer import ScriptLayer, ScriptRunner


class ProxyHost:
    """Fails loudly where the lab would record."""

    ended = False

    def __init__(self) -> None:
        self.left = 0

    def sender_left(self) -> None:
        self.left += 1

    def failed(self, where: str, error: BaseException) -> None:
        raise AssertionError(where) from error

    def secure(self, shown: object) -> Handshake:
        raise NotImplementedError

    def take_from_wire(self, octets: bytes) -> None:
        raise NotImplementedError


def test_a_script_that_leaves_tls_is_not_resumed_inside_it() -> None:
    answers: list[object] = []

    def script() -> Script:
        answers.append((yield Receive()))
        answers.append((yield LeaveTls()))

    here = context.Context(
        Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), state=ConnectionState.OPEN), options.Options()
    )
    proxy_host = ProxyHost()
    player = ScriptRunner(proxy_host, script())
    next(player.script)
    stage = ScriptLayer(here, player)
    assert list(stage.handle_event(events.ConnectionClosed(here.client))) == []
    assert player.leaves_tls
    assert proxy_host.left == 1
    # One segment from the receiver may hold a reply and the end of its TLS.
    assert list(stage.handle_event(events.DataReceived(here.server, b"221 2.0.0 Bye\r\n"))) == []
    assert list(stage.handle_event(events.ConnectionClosed(here.server))) == []
    assert answers == [Arrived(Side.SENDER, b"")]
    assert not player.over
