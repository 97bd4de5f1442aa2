"""The blocks of pcapng files."""

from __future__ import annotations

import io

import pytest
from mta_sts_lab import pcapng
from mta_sts_lab.pcapng import Packet

PACKETS = [Packet("lab", 1_700_000_000_123_456_789, b"first"), Packet("lo", 1_700_000_001_000_000_000, b"the second")]


def a_file(*, ended: bool = True) -> bytes:
    written = pcapng.section() + pcapng.secrets(b"CLIENT_RANDOM 00 00\n")
    for number, packet in enumerate(PACKETS):
        written += pcapng.interface(packet.interface, "a side") + pcapng.packet(number, packet.at, packet.frame)
    return written + (pcapng.statistics(3) if ended else b"")


def test_what_was_written_is_read() -> None:
    read = pcapng.read(io.BytesIO(a_file()))
    assert read.packets == PACKETS
    assert read.lost == 3


@pytest.mark.parametrize("missing", [1, 20, 40])
def test_a_file_without_its_end_says_so(missing: int) -> None:
    read = pcapng.read(io.BytesIO(a_file(ended=False)[:-missing]))
    assert read.packets == PACKETS[:1]
    assert read.lost is None
    assert pcapng.read(io.BytesIO(a_file(ended=False))).packets == PACKETS


def test_nonsense_is_no_packet() -> None:
    assert pcapng.read(io.BytesIO(b"\xff" * 64)).packets == []
