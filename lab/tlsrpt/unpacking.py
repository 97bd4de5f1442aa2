"""Gzip, unpacked within bounds (RFC 1952): a report of a few kilobytes can unpack to a few gigabytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from lab.model import Grade
from lab.tlsrpt.departures import Departure, Notes
from lab.tlsrpt.limits import (
    HIGHEST_RATIO,
    LARGEST_TEXT,
    MOST_GZIP_MEMBERS,
    RATIO_MATTERS_ABOVE,
    BeyondLimit,
)

GZIP_MAGIC = b"\x1f\x8b"

_GZIP_WINDOW = 31
#: Octets that are unpacked at one time.
_STEP = 1 << 18


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out, and whether all of it did."""

    octets: bytes
    complete: bool


def unpack(octets: bytes, notes: Notes) -> Unpacked:
    """Unpack gzip data as far as it goes, and note what is wrong with it. Raises `BeyondLimit`."""
    found = bytearray()
    rest, members = octets, 0
    while rest.startswith(GZIP_MAGIC):
        members += 1
        if members > MOST_GZIP_MEMBERS:
            raise BeyondLimit(f"the gzip data has more than {MOST_GZIP_MEMBERS} members")
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        trouble = _unpack_member(unpacker, rest, found, len(octets))
        if trouble:
            _note(notes, "RPT-4-01", "broken-gzip", "whole gzip data", f"{trouble}, after {len(found)} octets of text")
            return Unpacked(bytes(found), complete=False)
        if not unpacker.eof:
            _note(notes, "RPT-4-01", "gzip-cut-short", "whole gzip data", f"its end after {len(found)} octets of text")
            return Unpacked(bytes(found), complete=False)
        rest = unpacker.unused_data
    if members > 1:
        _note(notes, "RPT-5.2-01", "gzip-members", "one gzip member", f"{members} members", Grade.INFO)
    if rest.strip(b"\0\r\n"):
        _note(notes, "RPT-5.2-01", "gzip-trailing-data", "nothing after the gzip data", f"{len(rest)} further octets")
    return Unpacked(bytes(found), complete=True)


def _unpack_member(unpacker: zlib._Decompress, packed: bytes, found: bytearray, size: int) -> str:
    """Unpack one member into what was found so far; return what zlib complains of."""
    chunk = packed
    while not unpacker.eof:
        try:
            piece = unpacker.decompress(chunk, _STEP)
        except zlib.error as error:
            return str(error)
        found += piece
        if len(found) > LARGEST_TEXT:
            raise BeyondLimit(f"the report unpacks to more than {LARGEST_TEXT >> 20} MiB")
        if len(found) > RATIO_MATTERS_ABOVE and len(found) > HIGHEST_RATIO * size:
            raise BeyondLimit(f"the report unpacks to more than {HIGHEST_RATIO} times its size")
        chunk = unpacker.unconsumed_tail
        if not piece and not chunk:
            return ""
    return ""


def _note(notes: Notes, obligation: str, reason: str, expected: str, observed: str, grade: Grade | None = None) -> None:
    note = "RFC 1952 allows it, and some readers stop after the first" if reason == "gzip-members" else ""
    notes.add(Departure(obligation, reason, "gzip data", expected, observed, grade, note))
