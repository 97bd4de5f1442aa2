"""One pcapng file a case: its packets, and the secrets by which Wireshark reads its TLS.

A run is captured as a whole. The record says whose packets are whose: by the addresses of a case's hosts, by the ports
of the connections to hosts that cases share and to those behind an attacker, and by the names that were asked for.
"""

from __future__ import annotations

import re
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import dnslib

from mta_sts_lab import pcapng
from mta_sts_lab.events import ConnectionAccepted, ConnectionDenied, DnsAnswered
from mta_sts_lab.pcapng import Packet
from mta_sts_lab.record import Record
from mta_sts_lab.reports.writers.mitm import mitm_name

#: The folder of a run that holds these files.
CAPTURES_FOLDER = "captures"

#: The interface on which the attacker reaches the genuine hosts.
_LOOPBACK = "lo"
_SIDES = {True: "between the attacker and the genuine hosts", False: "between the mail server and the lab"}

_IPV4, _IPV6, _TCP, _UDP, _DNS_PORT = 0x0800, 0x86DD, 6, 17, 53

#: A ClientHello up to its random (RFC 8446, section 4.1.2), by which a key log names the session.
_CLIENT_HELLO = re.compile(rb"\x16\x03[\x00-\x04]..\x01...\x03[\x00-\x03](.{32})", re.DOTALL)

_End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Segment:
    """A packet of TCP or UDP, with the address and the port of its source and of its destination."""

    packet: Packet
    protocol: int
    source: _End
    destination: _End
    payload: bytes

    @property
    def together(self) -> object:
        """What the packets have in common that go into the same files: the connection, or the datagram itself."""
        if self.protocol == _UDP:
            return self.packet
        return (self.packet.interface, frozenset((self.source, self.destination)))


def capture_name(case: str) -> str:
    """Return the name of a case's file."""
    return mitm_name(case).removesuffix(".mitm") + ".pcapng"


def capture_files(packets: Sequence[Packet], key_log: bytes, record: Record) -> Iterator[tuple[str, bytes]]:
    """Yield the file of each case that has packets, its path inside the run's folder first."""
    segments = [segment for packet in packets if (segment := _segment(packet)) is not None]
    owners, whose = _Owners(record), defaultdict[object, set[str]](set)
    for segment in segments:
        whose[segment.together] |= owners.of(segment)
    by_case: dict[str, list[_Segment]] = defaultdict(list)
    cases = {case.id for case in record.header.cases}
    for segment in segments:
        for case in whose[segment.together] & cases:
            by_case[case].append(segment)
    secrets = _secrets_by_random(key_log)
    for case, own in sorted(by_case.items()):
        yield f"{CAPTURES_FOLDER}/{capture_name(case)}", _file(own, secrets)


class _Owners:
    """Knows from a record which case a packet belongs to."""

    def __init__(self, record: Record) -> None:
        self._of_address: dict[str, set[str]] = defaultdict(set)
        self._of_ports: dict[tuple[str, int, int], set[str]] = defaultdict(set)
        self._of_name: dict[str, set[str]] = defaultdict(set)
        of_session: dict[str, set[str]] = defaultdict(set)
        for event in record.events:
            if event.case:
                of_session[getattr(event.fact, "session", "")].add(event.case)
        for event in record.events:
            match event.fact:
                case ConnectionAccepted() as fact:
                    # The hosts that cases share belong to none of them.
                    self._of_address[fact.address].add(event.case)
                    self._of_ports[fact.peer, fact.peer_port, fact.own_port] |= of_session[fact.session]
                case ConnectionDenied(address=address):
                    self._of_address[address].add(event.case)
                case DnsAnswered(name=name, type=kind, answers=answers) if event.case:
                    self._of_name[_canonical(name)].add(event.case)
                    for address in answers if kind in ("A", "AAAA") else ():
                        self._of_address[address].add(event.case)
                case _:
                    pass

    def of(self, segment: _Segment) -> set[str]:
        """Return the cases that a packet belongs to."""
        found: set[str] = set()
        for one, other in ((segment.source, segment.destination), (segment.destination, segment.source)):
            found |= self._of_ports.get((*one, other[1]), set())
            # On loopback the lab also looks whether its own hosts answer.
            if segment.packet.interface != _LOOPBACK and len(owner := self._of_address.get(one[0], set())) == 1:
                found |= owner
            if one[1] == _DNS_PORT:
                found |= self._of_name.get(_name_asked(segment), set())
        return found


def _segment(packet: Packet) -> _Segment | None:
    """Read a frame. None for everything but TCP and UDP over IP, of which the lab knows nothing else."""
    frame = packet.frame
    try:
        protocol, addresses, begin, end = _internet_header(frame)
        if protocol not in (_TCP, _UDP):
            return None
        source, destination = struct.unpack_from("!HH", frame, begin)
        head = (frame[begin + 12] >> 4) * 4 if protocol == _TCP else 8
    except (IndexError, ValueError, struct.error):
        return None
    ends = (addresses[0], int(source)), (addresses[1], int(destination))
    return _Segment(packet, protocol, *ends, frame[begin + head : end])


def _internet_header(frame: bytes) -> tuple[int, tuple[str, str], int, int]:
    """Return the protocol inside of IP, both addresses, and where its octets begin and end.

    Raises `IndexError`, `ValueError` and `struct.error` for other frames.
    """
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == _IPV4:
        protocol, begin, family, places = frame[23], 14 + (frame[14] & 0x0F) * 4, socket.AF_INET, (26, 30, 34)
        end = 14 + int.from_bytes(frame[16:18], "big")
    elif kind == _IPV6:
        protocol, begin, family, places = frame[20], 54, socket.AF_INET6, (22, 38, 54)
        end = begin + int.from_bytes(frame[18:20], "big")
    else:
        return 0, ("", ""), 0, 0
    source, destination = (socket.inet_ntop(family, frame[a:b]) for a, b in pairwise(places))
    # Beyond the end there may be what fills an Ethernet frame.
    return protocol, (source, destination), begin, end


def _name_asked(segment: _Segment) -> str:
    """Return the name in the question of a DNS message; empty if there is none."""
    # Over TCP two octets with the length stand before a message (RFC 1035, section 4.2.2).
    message = segment.payload[2:] if segment.protocol == _TCP else segment.payload
    try:
        return _canonical(str(dnslib.DNSRecord.parse(message).q.qname))
    except Exception:  # noqa: BLE001 - whatever a target sends to port 53
        return ""


def _canonical(name: str) -> str:
    return name.rstrip(".").lower()


def _secrets_by_random(key_log: bytes) -> dict[bytes, list[bytes]]:
    """Return the lines of a key log by the random of the ClientHello."""
    found: dict[bytes, list[bytes]] = defaultdict(list)
    for line in key_log.splitlines():
        words = line.split()
        if len(words) == 3:
            found[bytes.fromhex(words[1].decode())].append(line)
    return found


def _file(segments: Sequence[_Segment], secrets: Mapping[bytes, Iterable[bytes]]) -> bytes:
    """Return a file. The secrets stand before the packets, because Wireshark reads it once."""
    randoms = dict.fromkeys(found[1] for segment in segments for found in _CLIENT_HELLO.finditer(segment.payload))
    lines = [line for random in randoms for line in secrets.get(random, ())]
    interfaces = list(dict.fromkeys(segment.packet.interface for segment in segments))
    blocks = [pcapng.section()]
    blocks += [pcapng.secrets(b"\n".join([*lines, b""]))] if lines else []
    blocks += [pcapng.interface(name, _SIDES[name == _LOOPBACK]) for name in interfaces]
    blocks += [
        pcapng.packet(interfaces.index(one.packet.interface), one.packet.at, one.packet.frame) for one in segments
    ]
    return b"".join(blocks)
