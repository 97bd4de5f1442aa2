"""Gzip, unpacked within bounds (RFC 1952): a report of a few kilobytes can unpack to a few gigabytes."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt.departures import Departure, Notes
from mta_sts_lab.tlsrpt.limits import HIGHEST_RATIO, LARGEST_TEXT, MOST_GZIP_MEMBERS, RATIO_MATTERS_ABOVE, BeyondLimit

GZIP_MAGIC = b"\x1f\x8b"

_GZIP_WINDOW = 31
#: Octets that are fed, and that are unpacked, at one time.
_STEP = 1 << 16

_CUT_SHORT = "its end"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out, and whether all of it did."""

    octets: bytes
    complete: bool


def unpack(octets: bytes, notes: Notes, most: int = LARGEST_TEXT) -> Unpacked:
    """Unpack gzip data as far as it goes, `most` octets, and note what is wrong with it. Raises `BeyondLimit`."""
    found = bytearray()
    at, members = 0, 0
    while octets.startswith(GZIP_MAGIC, at):
        members += 1
        if members > MOST_GZIP_MEMBERS:
            raise BeyondLimit(f"the gzip data has more than {MOST_GZIP_MEMBERS} members")
        at, problem = _unpack_member(octets, at, found, most)
        if problem:
            observed = f"{problem}, after {len(found)} octets of text"
            reason = "gzip-cut-short" if problem == _CUT_SHORT else "broken-gzip"
            _note(notes, "RPT-4-01", reason, "whole gzip data", observed)
            return Unpacked(bytes(found), complete=False)
    if members > 1:
        _note(notes, "RPT-5.2-01", "gzip-members", "one gzip member", f"{members} members", Grade.INFO)
    if octets[at:].strip(b"\0\r\n"):
        observed = f"{len(octets) - at} further octets"
        _note(notes, "RPT-5.2-01", "gzip-trailing-data", "nothing after the gzip data", observed)
    return Unpacked(bytes(found), complete=True)


def _unpack_member(packed: bytes, begin: int, found: bytearray, most: int) -> tuple[int, str]:
    """Unpack the member at an offset into what was found so far; return where it ends, and what is wrong with it."""
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    for at in range(begin, len(packed), _STEP):
        before, known = unpacker.copy(), len(found)
        try:
            _feed(unpacker, packed[at : at + _STEP], found, len(packed), most)
        except zlib.error as error:
            del found[known:]
            _feed_until_broken(before, packed[at : at + _STEP], found, len(packed), most)
            return at, str(error)
        if unpacker.eof:
            return min(at + _STEP, len(packed)) - len(unpacker.unused_data), ""
    return len(packed), _CUT_SHORT


def _feed(unpacker: zlib._Decompress, packed: bytes, found: bytearray, size: int, most: int) -> None:
    """Unpack a piece of a member. Raises `BeyondLimit` as soon as it is too much."""
    rest = packed
    while not unpacker.eof:
        piece = unpacker.decompress(rest, _STEP)
        found += piece
        if len(found) > most:
            raise BeyondLimit(f"the report unpacks to more than {most >> 20} MiB")
        if len(found) > RATIO_MATTERS_ABOVE and len(found) > HIGHEST_RATIO * size:
            raise BeyondLimit(f"the report unpacks to more than {HIGHEST_RATIO} times its size")
        rest = unpacker.unconsumed_tail
        if not rest and len(piece) < _STEP:
            return


def _feed_until_broken(unpacker: zlib._Decompress, packed: bytes, found: bytearray, size: int, most: int) -> None:
    """Unpack octet by octet: zlib gives nothing of a piece that has an error in it, not even what comes before."""
    with contextlib.suppress(zlib.error):
        for at in range(len(packed)):
            _feed(unpacker, packed[at : at + 1], found, size, most)


def _note(notes: Notes, obligation: str, reason: str, expected: str, observed: str, grade: Grade | None = None) -> None:
    note = "RFC 1952 allows it, and some readers stop after the first" if reason == "gzip-members" else ""
    notes.add(Departure(obligation, reason, "gzip data", expected, observed, grade, note))
