"""What dials into the lab in these tests: the plainest clients that do the job."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

import dnslib
from mta_sts_lab.world.network import Network
from mta_sts_lab.world.pki import Authority

from tests.world.watching import PATIENCE


def trusting(authority: Authority, strict: bool = False) -> ssl.SSLContext:
    """A client's context that trusts the run's authority and nobody else, and looks at no common name."""
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.hostname_checks_common_name = False
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def careless() -> ssl.SSLContext:
    """A client's context that verifies nothing."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class SmtpClient:
    """An SMTP client that says what it is told to and returns whole replies."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def dial(cls, where: tuple[str, int]) -> SmtpClient:
        return cls(*await asyncio.open_connection(*where))

    async def reply(self) -> str:
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            async with asyncio.timeout(PATIENCE):
                line = await self.reader.readline()
            if not line:
                raise EOFError("\n".join(lines))
            lines.append(line.decode().rstrip("\r\n"))
        return "\n".join(lines)

    async def say(self, *lines: str) -> str:
        """Send lines in one segment and return the reply to the first."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext, name: str | None) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.writer.start_tls(context, server_hostname=name)

    async def deliver(self, sender: str, recipient: str, content: bytes) -> str:
        """Run one transaction and return the last reply."""
        for line, good in ((f"MAIL FROM:<{sender}>", "250"), (f"RCPT TO:<{recipient}>", "250"), ("DATA", "354")):
            reply = await self.say(line)
            if not reply.startswith(good):
                return reply
        self.writer.write(content + b".\r\n")
        return await self.reply()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(PATIENCE):
                await self.writer.wait_closed()


async def ask(
    network: Network, address: str, name: str, kind: str, edns: int = 0, transport: str = "udp"
) -> dnslib.DNSRecord:
    """Put one question to the name server."""
    query = dnslib.DNSRecord.question(name, kind)
    if edns:
        query.add_ar(dnslib.EDNS0(udp_len=edns))
    send = ask_by_tcp if transport == "tcp" else ask_by_udp
    return dnslib.DNSRecord.parse(await send(network.where(address, 53, transport), bytes(query.pack())))


async def ask_by_udp(where: tuple[str, int], packet: bytes, timeouts: float = PATIENCE) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(where)
        await loop.sock_sendall(sock, packet)
        async with asyncio.timeout(timeouts):
            return await loop.sock_recv(sock, 65535)


async def ask_by_tcp(where: tuple[str, int], *packets: bytes) -> bytes:
    """Send packets over one connection and return the answer to the last."""
    reader, writer = await asyncio.open_connection(*where)
    try:
        for packet in packets:
            writer.write(len(packet).to_bytes(2, "big") + packet)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        return answer
    finally:
        writer.close()
        await writer.wait_closed()


async def request(
    where: tuple[str, int],
    name: str | None,
    context: ssl.SSLContext,
    target: str,
    method: str = "GET",
    headers: tuple[str, ...] = (),
    body: bytes = b"",
) -> tuple[int, dict[str, str], bytes]:
    """Send one HTTPS request and return status, headers (lower case) and body."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(*where, ssl=context, server_hostname=name)
    try:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {name}", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    named = dict(field.lower().split(": ", 1) for field in fields)
    return int(first.split()[1]), named, content
