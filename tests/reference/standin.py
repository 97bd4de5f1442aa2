"""A small honest Internet for the sender's own tests: one name server, one policy host, MX hosts, one report host."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import dnslib
import trustme
from aiosmtpd.smtp import SMTP
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.world.network import Listener, LoopbackNetwork

DNS = "198.18.0.1"
POLICY_HOST = "198.18.0.2"
REPORT_HOST = "198.18.0.3"
MX1 = "198.18.1.1"
MX2 = "198.18.1.2"
SENDER_MX = "198.18.2.1"

QUICK = Settings(
    connect_seconds=3.0, command_seconds=3.0, fetch_seconds=3.0, lookup_seconds=0.3, parallel_deliveries=20
)


async def until(what: Callable[[], Any], seconds: float = 8.0) -> Any:
    """Poll until something is true, and return it."""
    async with asyncio.timeout(seconds):
        while not (value := what()):
            await asyncio.sleep(0.005)
        return value


class NameServer(asyncio.DatagramProtocol):
    """Answers from `zone`: (name, type) to texts in zone file form; `rcodes` overrides, "TIMEOUT" is silence."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.rcodes: dict[tuple[str, str], str] = {}
        #: The answers that DNSSEC vouches for.
        self.secure: set[tuple[str, str]] = set()
        self.truncates = False
        self.queries: Counter[tuple[str, str]] = Counter()
        self.over_tcp = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self.answer(data)
        if reply is not None and self._transport is not None:
            if self.truncates:
                reply.header.tc = 1
                reply.rr = []
            self._transport.sendto(reply.pack(), addr)

    async def take_stream(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            size = int.from_bytes(await reader.readexactly(2))
            reply = self.answer(await reader.readexactly(size))
            self.over_tcp += 1
            if reply is not None:
                packed = reply.pack()
                writer.write(len(packed).to_bytes(2) + packed)
                await writer.drain()
        writer.close()

    def answer(self, data: bytes) -> dnslib.DNSRecord | None:
        query = dnslib.DNSRecord.parse(data)
        name = str(query.q.qname).rstrip(".").lower()
        kind = dnslib.QTYPE[query.q.qtype]
        self.queries[name, kind] += 1
        reply = query.reply()
        reply.header.ad = int((name, kind) in self.secure)
        rcode = self.rcodes.get((name, kind)) or self.rcodes.get((name, "*"))
        if rcode == "TIMEOUT":
            return None
        if rcode:
            reply.header.rcode = getattr(dnslib.RCODE, rcode)
            return reply
        if (name, "CNAME") in self.zone:
            alias = self.zone[name, "CNAME"][0]
            reply.add_answer(*dnslib.RR.fromZone(f"{name}. 1 IN CNAME {alias}."))
            return reply
        for text in self.zone.get((name, kind), ()):
            reply.add_answer(*dnslib.RR.fromZone(f"{name}. 1 IN {kind} {text}"))
        if not any(known == name for known, _ in self.zone):
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        return reply


class _Mail(SMTP):
    """An MX session that can be told to refuse STARTTLS, and notes every command."""

    def __init__(self, host: MailHost, *args: Any, **kwargs: Any) -> None:
        super().__init__(host, *args, **kwargs)
        self._host = host

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if self._host.refuses_starttls:
            await self.push(self._host.refuses_starttls)
            return
        if self._host.injects and self.transport is not None:
            self.transport.write(b"220 go\r\n" + self._host.injects)
            await self._tls_without_reply()
            return
        await super().smtp_STARTTLS(arg)

    async def _tls_without_reply(self) -> None:
        """Start TLS as aiosmtpd does; the 220 was said already."""
        original = self.push

        async def mute(status: Any) -> None:
            self.push = original  # type: ignore[method-assign]

        self.push = mute  # type: ignore[method-assign]
        await super().smtp_STARTTLS("")


@dataclass
class Mail:
    """A message that an MX took."""

    secured: bool
    sender: str
    recipient: str
    content: bytes
    sni: str


@dataclass
class MailHost:
    """An MX host."""

    name: str
    context: ssl.SSLContext | None
    refuses_starttls: str = ""
    injects: bytes = b""
    answers: dict[str, str] = field(default_factory=dict)
    taken: list[Mail] = field(default_factory=list)
    envelopes: list[tuple[str, bool]] = field(default_factory=list)
    connections: int = 0
    listener: Listener | None = None
    last_sni: str = ""

    async def take(self, sock: socket.socket) -> None:
        self.connections += 1
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: _Mail(self, hostname=self.name, tls_context=self.context), sock
        )

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        self.envelopes.append((f"MAIL {address or ''}", session.ssl is not None))
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        self.envelopes.append((f"RCPT {address}", session.ssl is not None))
        answer = self.answers.get("RCPT", "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("2"):
            self.taken.append(
                Mail(
                    session.ssl is not None,
                    (envelope.mail_from or "").removeprefix("<>"),
                    envelope.rcpt_tos[0],
                    envelope.original_content,
                    self.last_sni,
                )
            )
        return answer


class WebHost:
    """HTTPS for whatever is asked; `status`, `headers` and `body` are the answer, `paths` has answers for others."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.status = "200 OK"
        self.headers = ["Content-Type: text/plain"]
        self.body = b""
        self.paths: dict[str, bytes] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.snis: list[str | None] = []
        self.stalls = False
        self.counts = True

    async def take(self, sock: socket.socket) -> None:
        self.context.sni_callback = lambda _, name, __: self.snis.append(name)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._task = asyncio.ensure_future(self._serve(reader, writer))

        protocol = asyncio.StreamReaderProtocol(reader, connected)
        with contextlib.suppress(OSError):
            await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self.context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.rstrip().split("\r\n")
            given = {one.partition(":")[0].lower(): one.partition(":")[2].strip() for one in fields}
            content = await reader.readexactly(int(given.get("content-length", 0)))
            self.requests.append((line, given, content))
            if self.stalls:
                await reader.read()
                writer.close()
                return
            path = line.split()[1]
            status, body = ("200 OK", self.paths[path]) if path in self.paths else (self.status, self.body)
            length = [f"Content-Length: {len(body)}"] if self.counts else []
            headers = [*self.headers, *length, "Connection: close"]
            writer.write("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body)
            await writer.drain()
            writer.close()


def format_policy(mode: str, max_age: int, mx: Sequence[str]) -> bytes:
    """The usual body of a policy."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {pattern}" for pattern in mx), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


class Internet:
    """All of it. The domain `there.example` has one MX, `mx1.there.example`, until a test says otherwise."""

    def __init__(self) -> None:
        self.network = LoopbackNetwork()
        self.ca = trustme.CA()
        self.other_ca = trustme.CA()
        self.dns = NameServer()
        self.web = WebHost(self.server_context("mta-sts.there.example"))
        self.reports = WebHost(self.server_context("reports.there.example"))
        self.mx1 = MailHost("mx1.there.example", self.server_context("mx1.there.example"))
        self.mx2 = MailHost("mx2.there.example", self.server_context("mx2.there.example"))
        self.home = MailHost("mx.sender.example", self.server_context("mx.sender.example"))
        self._listeners: list[Listener] = []
        self._revision = 0

    @property
    def ca_pem(self) -> str:
        return self.ca.cert_pem.bytes().decode()

    def server_context(self, *names: str, issuer: trustme.CA | None = None, **how: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (issuer or self.ca).issue_cert(*names, **how).configure_cert(context)
        return context

    async def start(self) -> None:
        net = self.network
        self._listeners = [
            await net.listen_datagrams(DNS, 53, lambda: self.dns),
            net.open_port(DNS, 53, self.dns.take_stream),
            net.open_port(POLICY_HOST, 443, self.web.take),
            net.open_port(REPORT_HOST, 443, self.reports.take),
        ]
        for address, host in ((MX1, self.mx1), (MX2, self.mx2), (SENDER_MX, self.home)):
            host.listener = net.open_port(address, 25, host.take)
            self._listeners.append(host.listener)
            self._note_sni(host)
        zone = self.dns.zone
        zone["there.example", "MX"] = ["10 mx1.there.example."]
        zone["mx1.there.example", "A"] = [MX1]
        zone["mx2.there.example", "A"] = [MX2]
        zone["mta-sts.there.example", "A"] = [POLICY_HOST]
        zone["reports.there.example", "A"] = [REPORT_HOST]
        zone["sender.example", "MX"] = ["10 mx.sender.example."]
        zone["mx.sender.example", "A"] = [SENDER_MX]

    def show(self, host: MailHost, context: ssl.SSLContext | None) -> None:
        """Let an MX show another certificate, or offer no TLS."""
        host.context = context
        self._note_sni(host)

    def publish(self, mode: str, max_age: int = 604800, mx: tuple[str, ...] = ("mx1.there.example",)) -> None:
        """Publish a policy under a new id."""
        self._revision += 1
        self.web.body = format_policy(mode, max_age, mx)
        self.dns.zone["_mta-sts.there.example", "TXT"] = [f'"v=STSv1; id=r{self._revision};"']

    def fetches(self) -> int:
        return len(self.web.requests)

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        await asyncio.sleep(0)

    def _note_sni(self, host: MailHost) -> None:
        if host.context is not None:

            def note(_: Any, name: str | None, __: Any) -> None:
                host.last_sni = name or ""

            host.context.sni_callback = note


@contextlib.asynccontextmanager
async def sender(
    internet: Internet, directory: Path, settings: Settings = QUICK, **flaws: bool
) -> AsyncIterator[InProcessTarget]:
    """A running reference sender in this Internet. A bug in it fails the test."""
    bugs: list[str] = []
    target = InProcessTarget(
        network=internet.network,
        dns=DNS,
        ca_pem=internet.ca_pem,
        directory=directory,
        flaws=Flaws(**flaws),
        settings=settings,
        on_error=lambda where, error: bugs.append(f"{where}: {error!r}"),
    )
    await target.start()
    try:
        yield target
    finally:
        await target.close()
    assert bugs == []


_SUBJECT = b"Subject: hello\r\n\r\nThe text.\r\n"


async def settle(target: InProcessTarget, recipient: str = "bob@there.example", message: bytes = _SUBJECT) -> str:
    """Send a message and wait until it left the queue ("gone") or was put off (the reason)."""
    await target.inject("alice@sender.example", recipient, message)
    return await settled(target, recipient)


async def settled(target: InProcessTarget, recipient: str = "bob@there.example") -> str:
    async with asyncio.timeout(8):
        while True:
            held = [one for one in await target.queue() if one.recipient == recipient]
            if not held:
                return "gone"
            if all(one.state == "deferred" for one in held):
                return held[-1].reason
            await asyncio.sleep(0.005)


def report_body(request: tuple[str, dict[str, str], bytes]) -> dict[str, Any]:
    """The JSON of a report that was posted."""
    decoded: dict[str, Any] = json.loads(gzip.decompress(request[2]))
    return decoded


def token_in(pattern: str, text: bytes) -> bool:
    """Whether a pattern occurs in octets."""
    return re.search(pattern.encode(), text) is not None
