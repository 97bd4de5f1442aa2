"""The blocks of a pcapng file (draft-ietf-opsawg-pcapng) that a capture of the lab has, written and read.

Wireshark decrypts the TLS of such a file by the secrets in it. No library on PyPI writes those.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_SECTION, _INTERFACE, _STATISTICS, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 5, 6, 0x0A

_BYTE_ORDER = 0x1A2B3C4D
_ETHERNET = 1
_TLS_KEY_LOG = 0x544C534B

#: Options: the name and the description of an interface, the unit of its times.
_NAME, _DESCRIPTION, _RESOLUTION = 2, 3, 9
#: Of statistics: how many packets were lost.
_LOST = 5
_NANOSECONDS = 9

#: Octets of a block that are read; a packet has at most 64 KiB.
_LARGEST_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet: the name of the interface, nanoseconds since 1970, and the Ethernet frame."""

    interface: str
    at: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Capture:
    """The packets of a file, and how many were lost; None: the capture did not come to its end."""

    packets: list[Packet]
    lost: int | None


def section() -> bytes:
    """Return the block that begins a file."""
    return _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))


def interface(name: str, description: str = "") -> bytes:
    """Return the block of an Ethernet interface. The first one of a file has number 0."""
    options = _option(_NAME, name.encode()) + _option(_RESOLUTION, bytes([_NANOSECONDS]))
    options += _option(_DESCRIPTION, description.encode()) if description else b""
    return _block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, 0) + options + _option(0, b""))


def packet(number: int, at: int, frame: bytes) -> bytes:
    """Return the block of a packet on the interface of that number, `at` nanoseconds since 1970."""
    head = struct.pack("<IIIII", number, at >> 32, at & 0xFFFFFFFF, len(frame), len(frame))
    return _block(_PACKET, head + _padded(frame))


def secrets(key_log: bytes) -> bytes:
    """Return the block of TLS secrets, given as the text of a key log (SSLKEYLOGFILE)."""
    return _block(_SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(key_log)) + _padded(key_log))


def statistics(lost: int) -> bytes:
    """Return the block that ends a capture: how many packets were lost."""
    option = _option(_LOST, struct.pack("<Q", lost)) + _option(0, b"")
    return _block(_STATISTICS, struct.pack("<III", 0, 0, 0) + option)


def read(file: BinaryIO) -> Capture:
    """Read a file that these functions have written; its end may be missing."""
    names: list[str] = []
    packets: list[Packet] = []
    lost: int | None = None
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<II", head)
        if not 12 <= length <= _LARGEST_BLOCK:
            break
        body = file.read(length - 8)[:-4]
        if len(body) != length - 12:
            break
        if kind == _INTERFACE:
            size = int.from_bytes(body[10:12], "little")
            names.append(body[12 : 12 + size].decode())
        elif kind == _PACKET:
            number, high, low, size, _ = struct.unpack("<IIIII", body[:20])
            packets.append(Packet(names[number], high << 32 | low, body[20 : 20 + size]))
        elif kind == _STATISTICS:
            lost = int.from_bytes(body[16:24], "little")
    return Capture(packets, lost)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
