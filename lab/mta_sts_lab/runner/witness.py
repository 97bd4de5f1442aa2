"""The lab's own clients, which ask the hosts and the names of a case, and those for reports, as a sender would.

A host that takes connections may still be broken. The clients say what is wrong, in a few words, or nothing. What they
do is not on record.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial

from mta_sts_lab.model.world import NOT_REVOKED
from mta_sts_lab.rfc.domain_names import POLICY_PATH, policy_record_name, report_record_name
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.targets.injection import Inject, SmtpSession, unverified
from mta_sts_lab.timeouts import WITNESS
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.dns import DnsServer
from mta_sts_lab.world.host import AcceptingHost
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.policy_host import PolicyServer
from mta_sts_lab.world.report_sink import ReportServer
from mta_sts_lab.world.resource_data import as_answered
from mta_sts_lab.world.revocation_lists import list_path
from mta_sts_lab.world.zone import address_records

#: Octets of an answer of a policy host that are compared. The policies of the scenarios have a few hundred, but for one
#: of 10 MiB.
_LONGEST_ANSWER = 1 << 17

#: The part of the lab that is asked, a name for what of it, and the question: it returns what is wrong.
Asked = tuple[str, str, Callable[[], Awaitable[str]]]


def knocks(world: CaseWorld) -> Iterator[Asked]:
    """Yield the questions whether each host of a case takes connections where it should take them now."""
    named: list[tuple[str, AcceptingHost]] = [("mx", host) for host in world.mx] + [
        ("policy host", world.policy_server),
        *_list_hosts(world),
    ]
    for part, host in named:
        for address in host.listens_at:
            yield part, host.name, partial(_knock, host, address)


def questions(world: CaseWorld, dns: DnsServer) -> Iterator[Asked]:
    """Yield the questions whether hosts and names of a case answer as they should now."""
    for mx in world.mx:
        for address in mx.listens_at:
            yield "mx", mx.name, partial(_ask_mx, mx, address)
    for address in world.policy_server.listens_at:
        yield "policy host", world.policy_server.name, partial(_ask_policy_host, world.policy_server, address)
    for part, host in _list_hosts(world):
        for address in host.listens_at:
            yield part, host.name, partial(_ask_list_host, host, address)
    records = (*world.published, *(world.places if world.wants_reports else ()))
    texts = (policy_record_name(world.domain), report_record_name(world.domain))
    for name, kind in dict.fromkeys((record.name, record.type) for record in records):
        if kind in ("A", "AAAA", "MX") or (kind == "TXT" and name in texts):
            expected = frozenset(as_answered(one) for one in records if (one.name, one.type) == (name, kind))
            yield "name server", f"{name} {kind}", partial(_ask_name_server, dns, name, kind, expected)


def report_questions(internet: Internet) -> Iterator[Asked]:
    """Yield the questions whether the hosts that take the reports of all cases answer, and whether their names do.

    No case takes them down. One that wants its own reports refused has that done at its own place or name alone.
    """
    for address in internet.reports.addresses:
        yield "report host", internet.reports.name, partial(_ask_report_host, internet.reports, address)
    for address in internet.report_mx.addresses:
        yield "report mx", internet.report_mx.name, partial(_ask_mx, internet.report_mx, address)
    hosts: list[tuple[str, AcceptingHost]] = [("report host", internet.reports), ("report mx", internet.report_mx)]
    for part, host in hosts:
        records = address_records(host.name, host.addresses)
        for kind in dict.fromkeys(record.type for record in records):
            expected = frozenset(as_answered(one) for one in records if one.type == kind)
            yield part, f"{host.name} {kind}", partial(_ask_name_server, internet.dns, host.name, kind, expected)


def _list_hosts(world: CaseWorld) -> list[tuple[str, AcceptingHost]]:
    """Return the host of a case that has lists of revoked certificates, if there is one, and what part it is."""
    return [("revocation host", world.revocation_host)] if world.revocation_host is not None else []


async def within_time(question: Callable[[], Awaitable[str]]) -> str:
    """Ask a question and return what is wrong. No answer in time is wrong, too."""
    try:
        async with asyncio.timeout(WITNESS.seconds):
            return await question()
    except TimeoutError:
        return f"no answer within {WITNESS.seconds:g} s"
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    except (EOFError, TargetError, ValueError, asyncio.LimitOverrunError) as error:
        return str(error) or type(error).__name__


async def _knock(host: AcceptingHost, address: str) -> str:
    async with host.visit(address, served=False):
        return ""


async def _ask_mx(host: MxServer, address: str) -> str:
    """Begin a message and address it, inside TLS if the host is to offer it."""
    async with host.visit(address) as sock:

        async def connect(_: int) -> socket.socket:
            return sock

        session = await SmtpSession.open(host.name, Inject(starttls=host.settings.starttls), connect)
        try:
            await session.begin("")
            await session.address(f"postmaster@{host.domain}")
        finally:
            session.abort()
    return ""


async def _ask_policy_host(host: PolicyServer, address: str) -> str:
    """Fetch the policy, and compare it with what the host is to serve."""
    async with _http(host, address, f"GET {POLICY_PATH}", tls=unverified()) as reader:
        head = await reader.readuntil(b"\r\n\r\n")
        # A body that is to stall, or to break off, is not waited for.
        is_whole = not (host.settings.host.stalls or host.settings.host.cut)
        read = await _beginning(reader) if is_whole else b""
    status = int(head.split()[1])
    if status != host.settings.host.status:
        return f"status {status}"
    if status != 200 or not is_whole:
        return ""
    if b"\r\nTransfer-Encoding: chunked" in head:
        read = read.partition(b"\r\n")[2].removesuffix(b"\r\n0\r\n\r\n")  # the policy host sends one chunk
    policy = host.settings.body
    same = read == policy or (len(policy) > _LONGEST_ANSWER and read and policy.startswith(read))
    return "" if same else "another body than its policy"


async def _ask_list_host(host: AcceptingHost, address: str) -> str:
    """Ask for a list that every such host has."""
    async with _http(host, address, f"GET {list_path(NOT_REVOKED)}") as reader:
        status = int((await reader.readuntil(b"\r\n")).split()[1])
    return "" if status == 200 else f"status {status}"


async def _ask_report_host(host: ReportServer, address: str) -> str:
    """Post something to a place that no case has. It is answered like a report, and does not count as one."""
    async with _http(host, address, "POST /", b"{}", tls=unverified()) as reader:
        status = int((await reader.readuntil(b"\r\n")).split()[1])
    return "" if 200 <= status < 300 else f"status {status}"


@contextlib.asynccontextmanager
async def _http(
    host: AcceptingHost, address: str, asked: str, body: bytes = b"", tls: ssl.SSLContext | None = None
) -> AsyncIterator[asyncio.StreamReader]:
    """Send one HTTP request that is not put on record, and give what reads the answer."""
    async with host.visit(address) as sock:
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname=host.name if tls else None, limit=_LONGEST_ANSWER
        )
        try:
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            head = f"{asked} HTTP/1.1\r\nHost: {host.name}\r\n{length}Connection: close\r\n\r\n"
            writer.write(head.encode() + body)
            yield reader
        finally:
            writer.transport.abort()


async def _beginning(reader: asyncio.StreamReader) -> bytes:
    """Read to the end of a connection, or so much of what comes that it is enough to compare."""
    try:
        return await reader.readexactly(_LONGEST_ANSWER)
    except asyncio.IncompleteReadError as ended:
        return ended.partial


async def _ask_name_server(dns: DnsServer, name: str, kind: str, expected: frozenset[str]) -> str:
    answered = await dns.ask(name, kind)
    return "" if answered == expected else f"the answer {', '.join(sorted(answered)) or 'that there is none'}"
