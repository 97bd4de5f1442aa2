"""The single reports in a file: in mailboxes, archives, forwarded mail and lists of JSON objects.

Whatever else is found is named. Sizes, depth and number are bounded (`limits`): a file may be made to do harm.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from mta_sts_lab.tlsrpt.departures import Notes
from mta_sts_lab.tlsrpt.json_text import look_like_json
from mta_sts_lab.tlsrpt.limits import DEEPEST_FILE, DEEPEST_JSON, LARGEST_FILE, LARGEST_TEXT, MOST_PIECES, BeyondLimit
from mta_sts_lab.tlsrpt.mail import Message, Part, decoded, looks_like_mail, read_message
from mta_sts_lab.tlsrpt.parser import REPORT_TYPES, rank_of
from mta_sts_lab.tlsrpt.tar_blocks import is_tar, wrong_end
from mta_sts_lab.tlsrpt.unpacking import GZIP_MAGIC, unpack

_ZIP_MAGIC, _ZIP_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
#: Octets of a line that begins a message in a mailbox, and what such a line has in it behind a blank line, as text for
#: people has not.
_LONGEST_MBOX_LINE = 1000
_MBOX_TIME = re.compile(rb"\d\d:\d\d")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
#: A bracket, or a string to its end or to that of the text: one without end is looked at once.
_JSON_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)

#: What reading a damaged archive may raise beside the errors of its format.
_DAMAGE = (zlib.error, struct.error, EOFError, ValueError, OSError, RuntimeError, KeyError, OverflowError)
#: What only a TLS report has in it: in its mail, and at the beginning of its JSON.
_CLAIM = re.compile(rb"tlsrpt|tls-report", re.IGNORECASE)
_MEMBER = re.compile(rb'"(?:organization-name|date-range|report-id|policies)"')

_ESCAPED_JSON = (b"{&quot;", b"[{&quot;", b"{&#34;", b"{ &quot;")

DMARC = "a DMARC report, not a TLS report"
NOT_A_REPORT = "a mail message, but not a TLS report"
#: Kinds of multipart/report that are no TLS reports.
_OTHER_REPORTS = {
    "delivery-status": "a delivery status notification, not a TLS report",
    "disposition-notification": "a read receipt, not a TLS report",
    "feedback-report": "an abuse or DMARC failure report, not a TLS report",
}
#: What comes by mail beside TLS reports, and is none for certain.
KNOWN_OTHERS = frozenset({DMARC, NOT_A_REPORT, *_OTHER_REPORTS.values()})


@dataclass(frozen=True, slots=True)
class Piece:
    """Something in a file, and where it is (empty: it is the file itself).

    `other` says what it is if it is no report, `unreadable` why it could not be read. `note` says how it was read.
    """

    place: str
    octets: bytes = b""
    file_name: str = ""
    other: str = ""
    unreadable: str = ""
    note: str = ""


def pieces(octets: bytes, file_name: str = "") -> Iterator[Piece]:
    """Yield the reports in a file, and whatever else is in it. Never raises for what the file holds."""
    number = 0
    for number, piece in enumerate(_Reader().read(octets, _Place("", file_name)), start=1):
        if number > MOST_PIECES:
            yield Piece("", unreadable=f"more than {MOST_PIECES} reports and messages are in it; the rest was not read")
            return
        yield piece
    if number == 0:
        yield Piece("", other="an archive without a file in it")


def describe(octets: bytes) -> str:
    """Say what octets seem to be that are no report, nor anything that holds one."""
    head = octets[:512].lstrip()
    if head.startswith(_ESCAPED_JSON):
        return 'JSON whose quotation marks are written "&quot;": was it copied out of a web page?'
    if head[:100].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page"
    for magic, name in ((b"%PDF", "a PDF document"), (b"7z\xbc\xaf", "a 7-Zip archive"), (b"<", "XML")):
        if head.startswith(magic):
            return name
    return "neither a mail, a mailbox, an archive, gzip data nor JSON"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a file the reader is."""

    text: str
    file_name: str
    depth: int = 0
    note: str = ""

    def inner(self, step: str, file_name: str = "") -> _Place:
        text = ", ".join(filter(None, (self.text, step)))
        return _Place(text, file_name, self.depth + 1, self.note)


class _Reader:
    """Reads one file. All that is unpacked together has at most `LARGEST_FILE` octets."""

    def __init__(self) -> None:
        self._room = LARGEST_FILE

    def read(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        """Yield what is in some octets."""
        if place.depth > DEEPEST_FILE:
            yield Piece(place.text, unreadable=f"packed or forwarded more than {DEEPEST_FILE} times")
            return
        try:
            yield from self._read(*_without_mark(octets, place))
        except BeyondLimit as limit:
            yield Piece(place.text, unreadable=str(limit))

    def _read(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        if octets.startswith(GZIP_MAGIC):
            yield from self._gzip(octets, place)
        elif octets.startswith(_ZIP_MAGIC):
            yield from self._zip(octets, place)
        elif is_tar(octets):
            yield from self._tar(octets, place)
        elif octets.startswith(b"From "):
            yield from self._mbox(octets, place)
        elif _is_dmarc(octets):
            yield Piece(place.text, other=DMARC)
        elif octets[:512].lstrip().startswith(_ESCAPED_JSON):
            yield Piece(place.text, unreadable=describe(octets))
        elif look_like_json(octets):
            yield from _json(octets, place)
        elif looks_like_mail(octets):
            yield from self._mail(octets, place)
        else:
            yield Piece(place.text, octets, place.file_name, note=place.note)

    def _gzip(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        head = _head(octets)
        if look_like_json(head):
            try:
                text = unpack(octets, Notes()).octets
            except BeyondLimit:
                text = b""
            several = list(_json(text, place))
            yield from several if len(several) > 1 or several[0].note else [_whole(octets, place)]
        elif not head.strip() or head.startswith(GZIP_MAGIC) or not _is_known(head):
            yield _whole(octets, place)
        else:
            inner = unpack(octets, Notes(), self._room)
            self._spend(len(inner.octets))
            if not inner.complete:
                yield Piece(place.text, unreadable="the gzip data is damaged; its beginning was read")
            name = re.sub(r"(?i)\.t?gz$", "", place.file_name)
            yield from self.read(inner.octets, _Place(place.text, name, place.depth + 1, place.note))

    def _zip(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        # The library makes an object of each entry before anybody can count them.
        if octets.count(_ZIP_ENTRY) > MOST_PIECES:
            raise BeyondLimit(f"the archive has more than {MOST_PIECES} members")
        try:
            with zipfile.ZipFile(io.BytesIO(octets)) as archive:
                for entry in archive.infolist():
                    where = place.inner(entry.filename, entry.filename.rpartition("/")[2])
                    if entry.is_dir():
                        continue
                    if entry.flag_bits & 1:
                        yield Piece(where.text, unreadable="encrypted: unpack it first")
                    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        yield Piece(where.text, unreadable="compressed in a way that is not read here: unpack it first")
                    else:
                        with archive.open(entry) as file:
                            content = self._limited(file)
                        yield from self.read(content, where)
        except (zipfile.BadZipFile, *_DAMAGE) as error:
            yield Piece(place.text, unreadable=f"a damaged zip archive ({error})")

    def _tar(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        try:
            with tarfile.open(fileobj=io.BytesIO(octets), mode="r:") as archive:
                for number, entry in enumerate(archive):
                    if number == MOST_PIECES:
                        raise BeyondLimit(f"the archive has more than {MOST_PIECES} members")
                    file = archive.extractfile(entry) if entry.isreg() else None
                    if file is not None:
                        content = self._limited(file)
                        yield from self.read(content, place.inner(entry.name, entry.name.rpartition("/")[2]))
                wrong = wrong_end(octets, archive.offset)
            if wrong:
                yield Piece(place.text, unreadable=f"a damaged tar archive ({wrong})")
        except (tarfile.TarError, *_DAMAGE) as error:
            yield Piece(place.text, unreadable=f"a damaged tar archive ({error})")

    def _mbox(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        starts = list(_message_starts(octets))
        ends = [start for start, _ in starts[1:]] + [len(octets)]
        for number, ((_, begin), end) in enumerate(zip(starts, ends, strict=True), start=1):
            message = _QUOTED_FROM.sub(rb"\1", octets[begin:end])
            yield from self.read(message, place.inner(f"message {number}") if len(starts) > 1 else place.inner(""))

    def _mail(self, octets: bytes, place: _Place) -> Iterator[Piece]:
        """Take a mail for a report if it claims to be one; otherwise look into its attachments."""
        try:
            message = read_message(octets)
        except BeyondLimit:
            if _CLAIM.search(octets):
                raise
            yield Piece(place.text, other=NOT_A_REPORT)
            return
        report_type = message.top.parameters.get("report-type", "").lower()
        leaves = list(message.top.leaves())
        if _claims_to_be_a_report(message, leaves):
            yield _whole(octets, place)
        elif report_type in _OTHER_REPORTS:
            yield Piece(place.text, other=_OTHER_REPORTS[report_type])
        else:
            yield from self._attachments(message, leaves, place)

    def _attachments(self, message: Message, leaves: list[Part], place: _Place) -> Iterator[Piece]:
        """Yield the reports in other mail, and what may have been one but cannot be read."""
        inside = [list(self._attachment(message, leaf, place)) for leaf in leaves]
        plain = [_carries_a_report(message, leaf) for leaf in leaves]
        # Some reporters send the report as any other attachment: then the mail is graded as a report as well.
        if not any(inside):
            yield _whole(message.octets, place) if any(plain) else Piece(place.text, other=NOT_A_REPORT)
            return
        for leaf, found, carries in zip(leaves, inside, plain, strict=True):
            yield from found
            if carries and not found:
                yield from self.read(decoded(message.octets, leaf)[0], _attached(leaf, place))

    def _attachment(self, message: Message, leaf: Part, place: _Place) -> Iterator[Piece]:
        """Yield the reports in a forwarded mail or an archive, and what is damaged if it is about reports.

        Of other mail nobody wants to read what else is attached to it.
        """
        body, _ = decoded(message.octets, leaf)
        forwarded = leaf.media_type in ("message/rfc822", "message/global")
        if not forwarded and not _is_archive(body):
            return
        found = list(self.read(body, _attached(leaf, place)))
        # What is forwarded was asked already whether it is about reports.
        about = forwarded or any(map(_holds_a_report, found))
        about = about or (any(piece.unreadable for piece in found) and _is_about_reports(message, leaf, body))
        for piece in found:
            if piece.other == DMARC or _holds_a_report(piece) or (piece.unreadable and about):
                yield piece

    def _limited(self, file: IO[bytes]) -> bytes:
        # Past the bound the room is negative, and a negative number would have all be read.
        octets = file.read(max(self._room, 0) + 1)
        self._spend(len(octets))
        return octets

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise BeyondLimit(f"it unpacks to more than {LARGEST_FILE >> 20} MiB")


def _whole(octets: bytes, place: _Place) -> Piece:
    return Piece(place.text, octets, place.file_name, note=place.note)


def _without_mark(octets: bytes, place: _Place) -> tuple[bytes, _Place]:
    """Return text that some editors and shells save with a byte order mark as plain UTF-8; JSON stays as it is."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if octets.startswith(mark) and not look_like_json(octets):
            text = octets[len(mark) :].decode(name, "replace").encode("utf-8", "replace")
            note = f"the file was saved as {name[:6].upper()} with a byte order mark and was read as if it were not"
            return text, _Place(place.text, place.file_name, place.depth, note)
    return octets, place


def _head(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(packed[:65536], 4096)
    except zlib.error:
        return b""


def _is_dmarc(octets: bytes) -> bool:
    head = octets[:4096].lstrip()
    return head.startswith((b"<?xml", b"<!--", b"<feedback")) and b"<feedback" in head


def _is_known(head: bytes) -> bool:
    """Whether unpacked data is something that holds reports, or that has a name of its own."""
    archive = head.startswith((_ZIP_MAGIC, b"From ", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"))
    return archive or is_tar(head) or _is_dmarc(head) or looks_like_mail(head)


def _text_head(octets: bytes) -> bytes:
    """Return the beginning of data, unpacked, and of UTF-16 the letters."""
    return (_head(octets) if octets.startswith(GZIP_MAGIC) else octets[:4096]).replace(b"\0", b"")


def _carries_a_report(message: Message, leaf: Part) -> bool:
    body, _ = decoded(message.octets, leaf)
    return not _is_archive(body) and rank_of(message, leaf) > 0 and _MEMBER.search(_text_head(body)) is not None


def _attached(leaf: Part, place: _Place) -> _Place:
    return place.inner(f"attached {leaf.file_name or leaf.place}", leaf.file_name)


def _holds_a_report(piece: Piece) -> bool:
    return looks_like_mail(piece.octets) or _MEMBER.search(_text_head(piece.octets)) is not None


def _is_about_reports(message: Message, leaf: Part, body: bytes) -> bool:
    """Whether the header of a mail, or the name or the octets of an archive attached to it, speak of TLS reports."""
    header, name = message.octets[: message.top.begin], leaf.file_name.encode("utf-8", "replace")
    return any(map(_CLAIM.search, (header, name, body))) or _MEMBER.search(body) is not None


def _is_archive(octets: bytes) -> bool:
    """Whether it is data of which each member has to be looked at, or a DMARC report."""
    head = _head(octets) if octets.startswith(GZIP_MAGIC) else octets
    return head.startswith((_ZIP_MAGIC, b"From ")) or is_tar(head) or _is_dmarc(head)


def _claims_to_be_a_report(message: Message, leaves: list[Part]) -> bool:
    fields = any(message.first(name) for name in ("tls-report-domain", "tls-report-submitter"))
    typed = any(leaf.media_type in REPORT_TYPES for leaf in leaves)
    return fields or typed or message.top.parameters.get("report-type", "").lower() == "tlsrpt"


def _json(octets: bytes, place: _Place) -> Iterator[Piece]:
    """Yield each object of JSON lines or of an array; anything else is one piece."""
    in_array = octets.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    spans = (
        list(_objects(octets, 1 if in_array else 0)) if len(octets) <= LARGEST_TEXT and b"\0" not in octets[:16] else []
    )
    if not spans or (len(spans) < 2 and not in_array):
        yield _whole(octets, place)
        return
    form = "an array" if in_array else "a sequence"
    note = f"from {form} of {len(spans)} JSON objects; a reporter sends each report by itself (RFC 8460, section 4)"
    for number, (begin, end) in enumerate(spans, start=1):
        yield Piece(place.inner(f"report {number}").text, octets[begin:end], note=note)


def _message_starts(octets: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the lines that begin the messages of a mailbox begin and end. The first is at the beginning."""
    at = 0
    while at >= 0:
        end = octets.find(b"\n", at, at + _LONGEST_MBOX_LINE) + 1
        before = octets[max(at - 3, 0) : at]
        separate = before.endswith((b"\n\n", b"\n\r\n")) and _MBOX_TIME.search(octets, at, end)
        if at == 0 or (end and separate):
            yield at, end
        at = octets.find(b"\nFrom ", at) + 1 or -1


def _objects(octets: bytes, level: int) -> Iterator[tuple[int, int]]:
    """Yield where the objects of a level begin and end. Nothing is yielded where brackets do not match."""
    depth, begin = 0, 0
    found: list[tuple[int, int]] = []
    for mark in _JSON_MARK.finditer(octets):
        match mark[0]:
            case b"{" | b"[":
                if depth == level and mark[0] == b"{":
                    begin = mark.start()
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth == level and mark[0] == b"}":
                    found.append((begin, mark.end()))
            case _:
                continue
        if not 0 <= depth <= DEEPEST_JSON + 1 or len(found) > MOST_PIECES:
            return
    if depth == 0:
        yield from found
