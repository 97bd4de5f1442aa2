"""One `.mitm` file a case: its DNS lookups, policy fetches and SMTP sessions as flows, to be opened with `mitmweb -r`.

A run writes them of the cases that did not pass, because nobody opens the others; `sts-lab judge RUN --flows` writes
those as well.

The flows are rebuilt from the record, so they show what it holds: SMTP line by line and decrypted, of messages those
that an outsider could read, policies, and DNS answers without their exact octets. mitmproxy is imported when a file is
written and not before.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, get_args

import dnslib

from mta_sts_lab.events import (
    ClientHelloSeen,
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    DnsAnswered,
    Event,
    MessageRead,
    PolicyRequested,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge.sessions import Session, Sessions
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.writers import JudgedRecord, writer

if TYPE_CHECKING:
    from mitmproxy import connection, dns, flow, http, tcp

#: QTYPE "*" and class IN of RFC 1035, section 3.2; a time to live is not in the record.
_ANY = 255
_INTERNET = 1
_TTL = 0

#: A DNS message of no sections at all: the one constructor whose arguments did not change between mitmproxy 11 and 12.
_EMPTY_MESSAGE = bytes(12)

#: What proves that there was a connection. An attack that fired names its session too, and may do so without one.
_SEEN_ON_THE_WIRE = (ConnectionAccepted, ConnectionDenied, SmtpSaid)

#: Seconds since 1970. mitmproxy takes a time of zero for "now"; a record without a date of its own begins here.
_BEGINNING = 1.0

#: The folder of a run that holds these files.
FLOWS_FOLDER = "flows"

_UNFIT_FOR_A_FILE_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def mitm_name(case: str) -> str:
    """Return the name of a case's file: `starttls/strip[enforce]` is `starttls.strip.enforce.mitm`. Never a path."""
    return _UNFIT_FOR_A_FILE_NAME.sub(".", case).strip(".") + ".mitm"


@writer
def mitm(judged: JudgedRecord) -> Iterator[tuple[str, bytes]]:
    """Write `flows/*.mitm` of the cases that did not pass."""
    return flow_files(judged.record, {verdict.case for verdict in judged.verdicts if has_flows(verdict)})


def has_flows(verdict: Verdict) -> bool:
    """Whether a run writes the flows of a case unasked.

    They are not those of an earlier play, which may have been written when that was judged.
    """
    return verdict.grade not in (Grade.PASS, Grade.UNSUPPORTED) or bool(verdict.earlier)


def flow_files(record: Record, cases: Collection[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the files of some cases, or of all: the path inside the run's folder, and the content."""
    for case, events in record.judged_events().items():
        if cases is None or case in cases:
            yield f"{FLOWS_FOLDER}/{mitm_name(case)}", write_mitm(events, record.header.started)


def write_mitm(events: Iterable[Event], started: str = "") -> bytes:
    """Return the file of one case. `started` is the record's own start, from which the flows get their dates.

    Raises `ValueError` when `started` is not an ISO 8601 date and time.
    """
    from mitmproxy.io import FlowWriter  # a quarter of a second that --help must not cost

    beginning = datetime.fromisoformat(started).timestamp() if started else _BEGINNING
    stream = BytesIO()
    untyped: Any = FlowWriter
    writer = untyped(stream)
    for built in _flows(list(events), max(beginning, _BEGINNING)):
        writer.add(built)
    return stream.getvalue()


def _flows(events: list[Event], beginning: float) -> list[flow.Flow]:
    """Build all flows in the order in which they began."""
    sessions = Sessions()
    conversations: dict[str, list[Event]] = {}
    built: list[tuple[float, flow.Flow]] = []
    for event in events:
        sessions.follow(event)
        name = getattr(event.fact, "session", "")
        if isinstance(event.fact, DnsAnswered):
            built.append((event.at, _dns_flow(event, event.fact, beginning)))
        elif name:
            conversations.setdefault(name, []).append(event)
    for name, conversation in conversations.items():
        session = sessions.of(name)
        fetches = [(e, e.fact) for e in conversation if isinstance(e.fact, PolicyRequested)]
        built += [(e.at, _http_flow(e, fact, session, conversation, beginning)) for e, fact in fetches]
        if not fetches and any(isinstance(event.fact, _SEEN_ON_THE_WIRE) for event in conversation):
            built.append((conversation[0].at, _tcp_flow(session, conversation, beginning)))
    return [flow for _, flow in sorted(built, key=lambda pair: pair[0])]


def _comment(event: Event, *more: str) -> str:
    step = f", step {escape_unprintable(event.step)}" if event.step else ""
    return "\n".join([f"{escape_unprintable(event.case)}{step}", *(line for line in more if line)])


def _connections(
    client: str, server: tuple[str, int], at: float, transport: Any = "tcp"
) -> tuple[connection.Client, connection.Server]:
    from mitmproxy import connection

    return (
        # The record does not keep the client's address and port: a word stands in for it.
        connection.Client(peername=(client, 0), sockname=server, timestamp_start=at, transport_protocol=transport),
        connection.Server(address=server, peername=server, timestamp_start=at, transport_protocol=transport),
    )


def _conversation_connections(
    session: Session, conversation: list[Event], beginning: float
) -> tuple[connection.Client, connection.Server]:
    from mitmproxy import connection

    began = beginning + conversation[0].at
    address = escape_unprintable(session.address or session.host)
    client, server = _connections(session.client, (address, session.port), began)
    for event in conversation:
        fact, at = event.fact, beginning + event.at
        if isinstance(fact, ClientHelloSeen | TlsEstablished) and fact.sni:
            client.sni = escape_unprintable(fact.sni)
        if isinstance(fact, TlsEstablished):
            client.tls, client.timestamp_tls_setup = True, at
            if fact.version in get_args(connection.TlsVersion):
                client.tls_version = fact.version  # type: ignore[assignment]
        elif isinstance(fact, ConnectionClosed):
            client.timestamp_end = server.timestamp_end = at
    return client, server


def _dns_flow(event: Event, fact: DnsAnswered, beginning: float) -> dns.DNSFlow:
    from mitmproxy import dns, flow

    at = beginning + event.at
    transport = "udp" if fact.transport.lower() == "udp" else "tcp"
    client, server = _connections("sender", ("lab dns", 53), at, transport)
    built = dns.DNSFlow(client, server)
    built.timestamp_created = at
    notes = [escape_unprintable(answer) for answer in fact.answers]
    notes.append(f"forged by {escape_unprintable(fact.tampered_by)}" if fact.tampered_by else "")
    built.comment = _comment(event, *notes)
    built.request = _dns_message(event, fact, at)
    if fact.rcode == "TIMEOUT":
        built.error = flow.Error("deliberately not answered", at)
        return built
    built.response = _dns_message(event, fact, at)
    built.response.query = False
    built.response.response_code = dnslib.RCODE.reverse.get(fact.rcode, 2)
    built.response.answers = [_resource_record(fact, answer) for answer in fact.answers]
    return built


def _dns_message(event: Event, fact: DnsAnswered, at: float) -> Any:
    """Return a query for the name. The class was called Message up to mitmproxy 11, and DNSMessage since."""
    from mitmproxy import dns

    kind: Any = getattr(dns, "DNSMessage", None) or dns.Message
    message = kind.unpack(_EMPTY_MESSAGE)
    message.timestamp = at
    message.id = event.number & 0xFFFF
    message.query = True
    message.recursion_desired = True
    name, kind = escape_unprintable(fact.name), dnslib.QTYPE.reverse.get(fact.type, _ANY)
    message.questions = [dns.Question(name=name, type=kind, class_=_INTERNET)]
    return message


def _resource_record(fact: DnsAnswered, answer: str) -> dns.ResourceRecord:
    """Return an answer as a record of its own type; one without a known form holds the text (as the comment does)."""
    from mitmproxy import dns

    try:
        data = _packed(fact.type, answer)
    except (ValueError, struct.error):
        data = escape_unprintable(answer).encode()
    kind = dnslib.QTYPE.reverse.get(fact.type, _ANY)
    return dns.ResourceRecord(escape_unprintable(fact.name), kind, _INTERNET, _TTL, data)


def _packed(kind: str, answer: str) -> bytes:
    """Return the RDATA of an answer. Raises `ValueError` or `struct.error` where the text has no known form."""
    from mitmproxy.net.dns import domain_names

    if kind == "A":
        return ipaddress.IPv4Address(answer).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(answer).packed
    if kind == "CNAME":
        return domain_names.pack(answer.rstrip("."))
    if kind == "MX":
        preference, exchange = answer.split()
        return struct.pack("!H", int(preference)) + domain_names.pack(exchange.rstrip("."))
    raise ValueError(kind)


def _http_flow(
    event: Event, fact: PolicyRequested, session: Session, conversation: list[Event], beginning: float
) -> http.HTTPFlow:
    from mitmproxy import flow, http

    at = beginning + event.at
    client, server = _conversation_connections(session, conversation, beginning)
    server.sni = client.sni = client.sni or escape_unprintable(fact.sni) or None
    built = http.HTTPFlow(client, server)
    built.timestamp_created = at
    notes = [f"policy id {escape_unprintable(fact.policy_id)}" if fact.policy_id else ""]
    built.comment = _comment(event, *notes, "" if fact.policy else "The body of the answer is not in the record.")
    host = escape_unprintable(fact.host)
    headers = {b"Host": host, b"User-Agent": escape_unprintable(fact.user_agent)}
    built.request = http.Request(
        host=host,
        port=session.port or 443,
        method=escape_unprintable(fact.method).encode(),
        scheme=b"https",
        authority=b"",
        path=escape_unprintable(fact.path).encode(),
        http_version=b"HTTP/1.1",
        headers=http.Headers([(name, value.encode()) for name, value in headers.items() if value]),
        content=b"",
        trailers=None,
        timestamp_start=at,
        timestamp_end=at,
    )
    if fact.status:
        typed: dict[str, str | bytes] = {"Content-Type": escape_unprintable(fact.media_type)} if fact.media_type else {}
        built.response = http.Response.make(fact.status, fact.policy.encode("utf-8", "replace"), typed)
        built.response.timestamp_start = built.response.timestamp_end = at
    else:
        built.error = flow.Error("never answered", at)
    return built


def _tcp_flow(session: Session, conversation: list[Event], beginning: float) -> tcp.TCPFlow:
    from mitmproxy import flow, tcp

    message: Any = tcp.TCPMessage
    client, server = _conversation_connections(session, conversation, beginning)
    built = tcp.TCPFlow(client, server)
    built.timestamp_created = beginning + conversation[0].at
    notes = ["the attacker's own connection to the receiver" if session.behind else ""]
    for event in conversation:
        fact, at = event.fact, beginning + event.at
        if isinstance(fact, SmtpSaid):
            # Octets travel through the record as Latin-1; what is beyond it was never on this wire.
            octets = fact.line.encode("latin-1", "backslashreplace") + b"\r\n"
            # A line that the attacker removed was not sent on: there is nothing to show but the note.
            if fact.line or not fact.instead_of:
                built.messages.append(message(fact.speaker == "sender", octets, at))
            if fact.instead_of:
                changed = f"replaced by {escape_unprintable(fact.line)}" if fact.line else "removed"
                said = escape_unprintable(fact.instead_of)
                notes.append(f"{event.at:.3f} s: changed by the attacker: {said} {changed}")
        elif isinstance(fact, MessageRead):
            built.messages.append(message(True, fact.text.encode("latin-1", "backslashreplace"), at))
        elif isinstance(fact, TlsFailed):
            built.error = flow.Error(f"TLS failed: {escape_unprintable(fact.alert)}", at)
        elif isinstance(fact, ConnectionDenied):
            built.error = flow.Error(f"connection {escape_unprintable(fact.how)}", at)
    built.comment = _comment(conversation[0], *notes)
    return built
