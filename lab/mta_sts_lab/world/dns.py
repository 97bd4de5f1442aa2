"""The lab's name server, by UDP and TCP: the zone on the wire, and every answer on record.

To a target it looks like its resolver: it answers with authority and says that recursion is available. It is one that
validates: the AD bit says that an answer is secure, and a bogus one is SERVFAIL. Parsing and packing are dnslib's;
whatever a query may contain, the server survives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import dnslib

from mta_sts_lab.events import DnsAnswered
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.domain_names import canonical
from mta_sts_lab.timeouts import SESSION_IDLE
from mta_sts_lab.world.network import Listener, Network, seconds_waited
from mta_sts_lab.world.resource_data import OF_DNSSEC, resource_data
from mta_sts_lab.world.zone import Answer, Question, Record, Zone, start_of_authority

PORT = 53

#: Octets. RFC 1035, section 4.2.1, for a client that says nothing of EDNS, and RFC 6891, section 6.2.5, for our own.
_SMALLEST_DATAGRAM = 512
_LARGEST_DATAGRAM = 4096
_LARGEST_MESSAGE = 65535

#: The EDNS option that says why a look-up failed, and its codes (RFC 8914, section 4).
_EXTENDED_ERROR_OPTION = 15
_EXTENDED_ERRORS = {"indeterminate": 5, "bogus": 6}

_HEADER = struct.Struct("!HHHHHH")
_IS_RESPONSE = 0x8000

#: Octets (RFC 1035, section 2.3.4), of a name with its length octets and the root's.
_LONGEST_LABEL = 63
_LONGEST_NAME = 255

#: Seconds that a query waits before it is put on record. Whoever asks waits far longer.
_WORTH_MENTION = 0.05


@dataclass(eq=False, repr=False)
class DnsServer:
    """The one name server of a run."""

    network: Network
    zone: Zone
    recorder: Recorder
    address: str
    _listeners: list[Listener] = field(default_factory=list, init=False)
    _conversations: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _closed: bool = field(default=False, init=False)
    _witnesses: set[tuple[str | int, int]] = field(default_factory=set, init=False)

    async def open(self) -> None:
        """Start to listen. Raises `AddressInUse`."""
        datagrams = await self.network.listen_datagrams(self.address, PORT, lambda: _Datagrams(self))
        self._listeners.append(datagrams)
        self._listeners.append(self.network.open_port(self.address, PORT, self._on_connection))

    async def ask(self, name: str, kind: str) -> frozenset[str]:
        """Return what the server answers to the lab's own question by UDP, in the form of `as_answered`.

        It is asked not to validate, and nothing of it goes on record. Raises `OSError` for anything but an answer with
        rcode NOERROR; waits for ever where none comes.
        """
        query = dnslib.DNSRecord.question(name, kind)
        query.header.cd = 1
        query.add_ar(dnslib.EDNS0(udp_len=_LARGEST_DATAGRAM))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(self.network.where(self.address, PORT, "udp"))
            witness = sock.getsockname()
            self._witnesses.add(witness)
            try:
                sock.send(bytes(query.pack()))
                packet = await asyncio.get_running_loop().sock_recv(sock, _LARGEST_DATAGRAM)
            finally:
                self._witnesses.discard(witness)
        reply = dnslib.DNSRecord.parse(packet)
        if reply.header.rcode != dnslib.RCODE.NOERROR:
            raise OSError(f"rcode {dnslib.RCODE[reply.header.rcode]}")
        return frozenset(str(record.rdata) for record in reply.rr)

    def is_witness(self, address: tuple[str | int, int]) -> bool:
        """Whether a query is the lab's own."""
        return address in self._witnesses

    async def close(self) -> None:
        """Stop listening and end every conversation."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    def respond(self, packet: bytes, transport: str, waited: float = 0.0, own: bool = False) -> bytes | None:
        """Answer one packet and record the answer, unless the lab itself asks. None means that nothing is sent.

        `waited` are the seconds since the packet came in.
        """
        if len(packet) < _HEADER.size or _HEADER.unpack_from(packet)[1] & _IS_RESPONSE:
            return None
        try:
            query = dnslib.DNSRecord.parse(packet)
            question = _question_of(query)
            query.q.pack(dnslib.DNSBuffer())  # an answer repeats the question
        except Exception:  # noqa: BLE001 - dnslib raises whatever it stumbles over; a bad packet is no error of the lab
            return self._malformed(packet, transport)
        answer = self._validated(query, self._answer(query, question))
        try:
            response = None if answer.rcode == "TIMEOUT" else _pack(query, question, answer, self.zone, transport)
        except Exception as error:  # noqa: BLE001 - recorded: a record of ours that cannot be put on the wire
            self._failed(f"packing the answer to {question.name} {question.type}", error, question)
            answer = Answer("SERVFAIL", (), answer.tampered_by, answer.security)
            response = bytes(_blank_reply(query, answer.rcode).pack())
        if not own:
            self._write(query, question, answer, transport, waited)
        return response

    def _write(
        self, query: dnslib.DNSRecord, question: Question, answer: Answer, transport: str, waited: float
    ) -> None:
        fact = DnsAnswered(
            name=question.name,
            type=question.type,
            transport=transport,
            rcode=answer.rcode,
            answers=tuple(record.data for record in answer.records if record.type not in OF_DNSSEC),
            tampered_by=answer.tampered_by,
            security=answer.security,
            security_aware=_wants_ad(query) or bool(query.header.cd),
            waited=round(waited, 3) if waited >= _WORTH_MENTION else 0.0,
        )
        self.recorder.write(fact, self.zone.case_of(question.name))

    def _answer(self, query: dnslib.DNSRecord, question: Question) -> Answer:
        if query.q.qclass != dnslib.CLASS.IN:
            return Answer("REFUSED")
        try:
            return self.zone.answer(question)
        except Exception as error:  # noqa: BLE001 - recorded: an attack's own exception
            self._failed(f"answering {question.name} {question.type}", error, question)
            return Answer("SERVFAIL")

    @staticmethod
    def _validated(query: dnslib.DNSRecord, answer: Answer) -> Answer:
        """Return what a validating resolver answers, unless the client does the checking itself (RFC 4035, 3.2.2)."""
        if answer.refused_by_validation and answer.rcode != "TIMEOUT" and not query.header.cd:
            return Answer("SERVFAIL", (), answer.tampered_by, answer.security)
        return answer

    def _failed(self, where: str, error: Exception, question: Question) -> None:
        """Put an error of ours on record. One about a name that is not the lab's hinders no case."""
        if self.zone.owner_of(question.name):
            self.recorder.lab_failed(where, error, self.zone.case_of(question.name))

    def _malformed(self, packet: bytes, transport: str) -> bytes:
        self.recorder.write(DnsAnswered(name="", type="", transport=transport, rcode="FORMERR"))
        identity = _HEADER.unpack_from(packet)[0]
        return _HEADER.pack(identity, _IS_RESPONSE | dnslib.RCODE.FORMERR, 0, 0, 0, 0)

    async def _on_connection(self, sock: socket.socket) -> None:
        if self._closed:
            sock.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)
        try:
            reader, writer = await asyncio.open_connection(sock=sock)
        except OSError:
            sock.close()
            return
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client left, or said nothing for too long: RFC 7766, section 6.2.3 allows both sides to close
        except Exception as error:  # noqa: BLE001 - recorded
            self.recorder.lab_failed("name server, TCP", error)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(SESSION_IDLE.seconds):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                packet = await reader.readexactly(length)
            response = self.respond(packet, "tcp")
            if response is not None:
                writer.write(struct.pack("!H", len(response)) + response)
                async with asyncio.timeout(SESSION_IDLE.seconds):
                    await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    """The server's UDP side."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport
        self._descriptor = int(transport.get_extra_info("socket").fileno())
        seconds_waited(self._descriptor)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        waited = seconds_waited(self._descriptor)
        response = self._server.respond(data, "udp", waited, own=self._server.is_witness(addr))
        if response is not None and self._transport is not None:
            self._transport.sendto(response, addr)


def _question_of(query: dnslib.DNSRecord) -> Question:
    """Return the one question of a query. Raises `ValueError` for any other number, and for what is no plain query.

    dnslib takes the two reserved kinds of label (RFC 1035, section 4.1.4) for ordinary ones of 64 to 191 octets.
    """
    if len(query.questions) != 1 or query.header.opcode != dnslib.OPCODE.QUERY:
        raise ValueError("not one plain question")
    labels = query.q.qname.label
    if max(map(len, labels), default=0) > _LONGEST_LABEL or sum(len(label) + 1 for label in labels) >= _LONGEST_NAME:
        raise ValueError("a name that is too long")
    return Question(canonical(str(query.q.qname)), dnslib.QTYPE[query.q.qtype])


def _pack(query: dnslib.DNSRecord, question: Question, answer: Answer, zone: Zone, transport: str) -> bytes:
    """Put an answer on the wire, or as much of it as says "ask again by TCP" (RFC 2181, section 9)."""
    reply = _blank_reply(query, answer.rcode, _EXTENDED_ERRORS.get(answer.security))
    validated = answer.security == "secure" and answer.rcode in ("NOERROR", "NXDOMAIN") and _wants_ad(query)
    reply.header.ad = int(validated or answer.claims_ad)
    for record in _wanted(answer.records, query):
        reply.add_answer(_resource(record, question, query.q.qname))
    for record in _wanted(answer.authority, query):
        reply.add_auth(_resource(record, question, query.q.qname))
    owner = zone.owner_of(answer.records[-1].data if answer.records else question.name)
    nothing = answer.rcode in ("NOERROR", "NXDOMAIN") and not _says_something(answer, question)
    if nothing and owner and not answer.authority:
        reply.add_auth(_resource(start_of_authority(owner), question, query.q.qname))
    packed = bytes(reply.pack())
    if len(packed) <= _room(query, transport):
        return packed
    truncated = _blank_reply(query, answer.rcode)
    truncated.header.tc, truncated.header.ad = 1, reply.header.ad
    return bytes(truncated.pack())


def _wanted(records: Iterable[Record], query: dnslib.DNSRecord) -> Iterator[Record]:
    """Yield the records that a client gets: what DNSSEC adds only if it asks for that (RFC 4035, section 3.1)."""
    edns = _edns_of(query)
    wants = edns is not None and edns.edns_do
    asked = dnslib.QTYPE[query.q.qtype]
    return (one for one in records if wants or one.type not in OF_DNSSEC or one.type == asked)


def _says_something(answer: Answer, question: Question) -> bool:
    return any(record.type == question.type for record in answer.records)


def _blank_reply(query: dnslib.DNSRecord, rcode: str, extended_error: int | None = None) -> dnslib.DNSRecord:
    """Return a reply without records. The question is the client's own, with its spelling (the "0x20" trick)."""
    header = dnslib.DNSHeader(id=query.header.id, qr=1, aa=1, rd=query.header.rd, ra=1)
    header.rcode = getattr(dnslib.RCODE, rcode)
    reply = dnslib.DNSRecord(header, q=query.q)
    edns = _edns_of(query)
    if edns is not None:
        told = [] if extended_error is None or rcode != "SERVFAIL" else [_extended(extended_error)]
        reply.add_ar(dnslib.EDNS0(flags="do" if edns.edns_do else "", udp_len=_LARGEST_DATAGRAM, opts=told))
    return reply


def _extended(code: int) -> dnslib.EDNSOption:
    return dnslib.EDNSOption(_EXTENDED_ERROR_OPTION, struct.pack("!H", code))


def _edns_of(query: dnslib.DNSRecord) -> dnslib.RR | None:
    return next((record for record in query.ar if record.rtype == dnslib.QTYPE.OPT), None)


def _wants_ad(query: dnslib.DNSRecord) -> bool:
    """Whether the client understands the AD bit (RFC 6840, sections 5.7 and 5.8)."""
    edns = _edns_of(query)
    return bool(query.header.ad or (edns is not None and edns.edns_do))


def _room(query: dnslib.DNSRecord, transport: str) -> int:
    """Return how many octets an answer may have."""
    if transport == "tcp":
        return _LARGEST_MESSAGE
    edns = _edns_of(query)
    return min(max(edns.edns_len if edns is not None else 0, _SMALLEST_DATAGRAM), _LARGEST_DATAGRAM)


def _resource(record: Record, question: Question, spelling: dnslib.DNSLabel) -> dnslib.RR:
    name = spelling if record.name == question.name else record.name
    return dnslib.RR(name, getattr(dnslib.QTYPE, record.type), ttl=record.ttl, rdata=resource_data(record))
