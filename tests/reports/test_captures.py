"""The packets of a run, divided among its cases."""

from __future__ import annotations

import io
import socket
import struct

import dnslib
from mta_sts_lab import pcapng
from mta_sts_lab.events import AnyFact, ConnectionAccepted, ConnectionDenied, DnsAnswered, Event, SmtpSaid
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.model.target import About
from mta_sts_lab.pcapng import Packet
from mta_sts_lab.record import Record
from mta_sts_lab.reports.captures import capture_files

from tests.made_records import made_record

TARGET, SHARED, RESOLVER = "198.19.0.3", "198.18.0.2", "198.18.0.1"
ONE, OTHER = "starttls/strip[enforce]", "mx/forged-mx[enforce]"


def case(name: str) -> Case:
    return Case(id=name, scenario=name.partition("[")[0], mode=Mode.ENFORCE, steps=())


def record(*facts: tuple[str, AnyFact]) -> Record:
    events = [Event(number, float(number), fact, name) for number, (name, fact) in enumerate(facts, 1)]
    return made_record(events, [case(ONE), case(OTHER)], About("made up"))


def accepted(
    session: str, address: str, peer: tuple[str, int], own_port: int = 25, via: str = ""
) -> ConnectionAccepted:
    return ConnectionAccepted(
        session=session,
        role="mx",
        host="mx",
        address=address,
        port=25,
        via=via,
        peer=peer[0],
        peer_port=peer[1],
        own_port=own_port,
    )


def tcp(source: tuple[str, int], destination: tuple[str, int], payload: bytes = b"", interface: str = "eth0") -> Packet:
    head = struct.pack("!HHIIBBHHH", source[1], destination[1], 1, 1, 5 << 4, 0x18, 1024, 0, 0)
    return ip(source[0], destination[0], 6, head + payload, interface)


def udp(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> Packet:
    return ip(
        source[0], destination[0], 17, struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    )


def ip(source: str, destination: str, protocol: int, content: bytes, interface: str = "eth0") -> Packet:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0, 64, protocol, 0)
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    # Ethernet fills a frame up to 60 octets.
    return Packet(interface, 1, (bytes(12) + b"\x08\x00" + head + addresses + content).ljust(60, b"\0"))


def question(name: str) -> bytes:
    return bytes(dnslib.DNSRecord.question(name, "MX").pack())


def divided(packets: list[Packet], log: bytes, of: Record) -> dict[str, list[Packet]]:
    return {name: pcapng.read(io.BytesIO(content)).packets for name, content in capture_files(packets, log, of)}


STRIP, FORGED = "captures/starttls.strip.enforce.pcapng", "captures/mx.forged-mx.enforce.pcapng"


def test_packets_go_to_the_case_that_has_the_address() -> None:
    there, back = tcp((TARGET, 4000), ("198.18.0.9", 25)), tcp(("198.18.0.9", 25), (TARGET, 4000))
    refused, nobodys = tcp((TARGET, 4001), ("198.18.0.10", 25)), tcp((TARGET, 4002), ("198.18.0.77", 25))
    answer = DnsAnswered(name="mx.two.example", type="A", transport="udp", rcode="NOERROR", answers=("198.18.0.10",))
    of = record((ONE, accepted("s1", "198.18.0.9", (TARGET, 4000))), (OTHER, answer))
    assert divided([there, nobodys, refused, back], b"", of) == {STRIP: [there, back], FORGED: [refused]}


def test_a_case_has_addresses_of_both_families() -> None:
    head = struct.pack("!IHBB", 6 << 28, 20, 6, 64) + socket.inet_pton(socket.AF_INET6, "2001:db8::3")
    content = struct.pack("!HHIIBBHHH", 4000, 25, 1, 1, 5 << 4, 2, 1024, 0, 0)
    destination = socket.inet_pton(socket.AF_INET6, "2001:db8:64::9")
    packet = Packet("eth0", 1, bytes(12) + b"\x86\xdd" + head + destination + content)
    answer = DnsAnswered(
        name="mx.one.example", type="AAAA", transport="udp", rcode="NOERROR", answers=("2001:db8:64::9",)
    )
    assert divided([packet], b"", record((ONE, answer))) == {STRIP: [packet]}


def test_a_host_that_denies_is_known_by_its_address() -> None:
    denied = ConnectionDenied(session="s1", role="mx", host="mx", address="198.18.0.9", port=25, how="reset")
    packet = tcp((TARGET, 4000), ("198.18.0.9", 25))
    assert divided([packet], b"", record((ONE, denied))) == {STRIP: [packet]}


def test_connections_to_shared_hosts_are_told_apart_by_their_ports() -> None:
    packets = [tcp((TARGET, port), (SHARED, 25)) for port in (4000, 4001, 4002)]
    of = record(
        ("", accepted("s1", SHARED, (TARGET, 4000))),
        ("", accepted("s2", SHARED, (TARGET, 4001))),
        (ONE, SmtpSaid(session="s1", speaker="sender", line="RCPT", secured=False)),
        (OTHER, SmtpSaid(session="s2", speaker="sender", line="RCPT", secured=False)),
    )
    assert divided(packets, b"", of) == {STRIP: packets[:1], FORGED: packets[1:2]}


def test_on_loopback_only_what_is_behind_an_attacker_counts() -> None:
    behind = tcp(("127.0.0.1", 5000), ("127.0.0.1", 6000), interface="lo")
    own_look = tcp(("198.18.0.9", 5001), ("198.18.0.9", 25), interface="lo")
    of = record((ONE, accepted("s2", "198.18.0.9", ("127.0.0.1", 5000), own_port=6000, via="s1")))
    assert divided([behind, own_look], b"", of) == {STRIP: [behind]}


def test_questions_go_to_the_case_that_has_the_name() -> None:
    def asked(name: str) -> DnsAnswered:
        return DnsAnswered(name=name, type="MX", transport="udp", rcode="NOERROR")

    # One port of the resolver's client serves both cases, and their letters need not be small.
    ends = (TARGET, 3000), (RESOLVER, 53)
    one, other = udp(*ends, question("One.Example")), udp(*ends, question("two.example"))
    long = struct.pack("!H", len(question("one.example"))) + question("one.example")
    handshake, over_tcp = tcp((TARGET, 3001), (RESOLVER, 53)), tcp((TARGET, 3001), (RESOLVER, 53), long)
    nonsense = udp(*ends, b"nonsense")
    of = record((ONE, asked("one.example")), (OTHER, asked("two.example")))
    found = divided([one, other, nonsense, handshake, over_tcp], b"", of)
    assert found == {STRIP: [one, handshake, over_tcp], FORGED: [other]}


def test_a_file_has_the_secrets_of_its_own_sessions() -> None:
    def hello(random: bytes) -> bytes:
        return b"\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03" + random

    log = b"".join(b"CLIENT_TRAFFIC_SECRET_0 %s 00ff\n" % (bytes([one]) * 32).hex().encode() for one in (1, 2))
    packets = [tcp((TARGET, 4000), ("198.18.0.9", 25), hello(b"\x01" * 32))]
    of = record((ONE, accepted("s1", "198.18.0.9", (TARGET, 4000))))
    ((_, content),) = capture_files(packets, log, of)
    assert b"CLIENT_TRAFFIC_SECRET_0 " + b"01" * 32 in content
    assert b"02" * 32 not in content


def test_other_protocols_and_broken_frames_are_nobodys() -> None:
    packets = [Packet("eth0", 1, b""), Packet("eth0", 1, bytes(14)), ip(TARGET, "198.18.0.9", 1, b"ping")]
    of = record((ONE, accepted("s1", "198.18.0.9", (TARGET, 4000))))
    assert divided(packets, b"", of) == {}
