"""A mail message taken apart (RFC 5322, RFC 2045, RFC 6522), as far as a report needs it.

Not the standard library's parser: that one recurses as deep as a message asks it to, and copies it on each level.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mta_sts_lab.tlsrpt.limits import (
    DEEPEST_MIME,
    LARGEST_HEADER,
    MOST_BASE64_PIECES,
    MOST_FIELDS,
    MOST_PARTS,
    BeyondLimit,
)

_LINE_END = re.compile(rb"\r?\n")
_HEAD_END = re.compile(rb"(?:\A|\n)\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
#: The alphabet of RFC 4648, section 5, in the letters of section 4; and what is in neither. Tables, because a pattern
#: makes an object of each piece between two matches, and a hostile part has one in every octet.
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")
_NO_BASE64 = re.sub(rb"[A-Za-z0-9+/=]", b"", bytes(range(256)))
#: Fields of which a message that came by mail has at least one.
_WELL_KNOWN = frozenset(
    (
        *("from", "to", "subject", "date", "received", "return-path", "message-id", "mime-version", "content-type"),
        *("delivered-to", "dkim-signature", "tls-report-domain", "tls-report-submitter"),
    )
)


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: its name in lower case, its unfolded value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME part: the message itself, or one of its pieces. `place` is `message`, `part 2`, `part 2.1` and so on.

    `closed` is False for a multipart without its closing delimiter.
    """

    place: str
    media_type: str
    parameters: Mapping[str, str]
    encoding: str
    file_name: str
    begin: int
    end: int
    children: tuple[Part, ...] = ()
    closed: bool = True

    def leaves(self) -> Iterator[Part]:
        """Yield the parts that have no parts, in their order."""
        if self.media_type.startswith("multipart/"):
            for child in self.children:
                yield from child.leaves()
        else:
            yield self


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and which of its parts is the report: the machine-readable part, None if none looks like it."""

    octets: bytes = field(repr=False)
    fields: tuple[Field, ...]
    top: Part
    machine: Part | None = None
    #: How many other parts look like reports as well.
    more_machines: int = 0

    def all(self, name: str) -> tuple[str, ...]:
        """Return the values of every field of a name."""
        return tuple(one.value for one in self.fields if one.name == name)

    def first(self, name: str) -> str | None:
        """Return the value of the first field of a name; None if there is none."""
        return next(iter(self.all(name)), None)


def looks_like_mail(octets: bytes) -> bool:
    """Whether octets begin with header fields of which at least one is well known."""
    head = octets[:65536].lstrip(b"\r\n")
    lines = _LINE_END.split(head[: _head_length(head)])
    if lines and lines[0].startswith(b"From "):
        lines = lines[1:]
    if not lines or not _FIELD.match(lines[0]):
        return False
    names = (found[1].decode("ascii").lower() for found in map(_FIELD.match, lines) if found)
    return any(name in _WELL_KNOWN for name in names)


def read_message(octets: bytes) -> Message:
    """Take a message apart. Raises `BeyondLimit` for too many or too deep parts and too long headers."""
    begin = len(octets) - len(octets.lstrip(b"\r\n"))
    fields, body = _header(octets, begin, len(octets))
    return Message(octets, fields, _Splitter(octets).part("message", fields, body, len(octets), 1))


def decoded(octets: bytes, part: Part) -> tuple[bytes, str]:
    """Undo a part's transfer encoding (RFC 2045, section 6); also return, in words, what was odd about it.

    Raises `BeyondLimit`.
    """
    body = octets[part.begin : part.end]
    match part.encoding:
        case "base64":
            return _from_base64(body)
        case "quoted-printable":
            return binascii.a2b_qp(body), ""
        case "" | "7bit" if b"\0" in body or not body.isascii():
            return body, "octets that 7bit does not allow, and nothing else is declared"
        case "8bit" if b"\0" in body:
            return body, "NUL octets, which 8bit does not allow"
        case "" | "7bit" | "8bit" | "binary":
            return body, ""
        case _:
            return body, f"the unknown transfer encoding {part.encoding[:40]}"


class _Splitter:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._parts = 0

    def part(self, place: str, fields: tuple[Field, ...], begin: int, end: int, depth: int) -> Part:
        """Read the part between two offsets, and the parts inside it."""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BeyondLimit(f"the message has more than {MOST_PARTS} parts")
        if depth > DEEPEST_MIME:
            raise BeyondLimit(f"the parts of the message are nested more than {DEEPEST_MIME} levels deep")
        named = {one.name: one.value for one in reversed(fields)}
        media_type, parameters = value_and_parameters(named.get("content-type", ""))
        _, disposition = value_and_parameters(named.get("content-disposition", ""))
        children, closed = self._children(place, media_type, parameters, begin, end, depth)
        return Part(
            place=place,
            media_type=media_type,
            parameters=parameters,
            encoding=value_and_parameters(named.get("content-transfer-encoding", ""))[0],
            file_name=disposition.get("filename", "") or parameters.get("name", ""),
            begin=begin,
            end=end,
            children=children,
            closed=closed,
        )

    def _children(
        self, place: str, media_type: str, parameters: Mapping[str, str], begin: int, end: int, depth: int
    ) -> tuple[tuple[Part, ...], bool]:
        boundary = parameters.get("boundary", "").encode("utf-8", "replace")
        if not media_type.startswith("multipart/") or not boundary:
            return (), True
        stem = "part " if place == "message" else f"{place}."
        children: list[Part] = []
        spans, closed = self._spans(boundary, begin, end)
        for number, (first, last) in enumerate(spans, start=1):
            fields, body = _header(self._octets, first, last)
            children.append(self.part(f"{stem}{number}", fields, body, last, depth + 1))
        return tuple(children), closed

    def _spans(self, boundary: bytes, begin: int, end: int) -> tuple[list[tuple[int, int]], bool]:
        """Return where the pieces between the delimiters lie, and whether the closing delimiter is there."""
        delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*+(?:\r?\n|\r?\Z)", re.MULTILINE)
        spans: list[tuple[int, int]] = []
        opened = -1
        for found in delimiter.finditer(self._octets, begin, end):
            if opened >= 0:
                # The line end in front of a delimiter belongs to the delimiter (RFC 2046, section 5.1.1).
                last = found.start() - (1 if self._octets[found.start() - 1 : found.start()] == b"\n" else 0)
                last -= 1 if self._octets[last - 1 : last] == b"\r" else 0
                spans.append((opened, max(opened, last)))
            if len(spans) > MOST_PARTS:
                raise BeyondLimit(f"the message has more than {MOST_PARTS} parts")
            if found[1]:
                return spans, True
            opened = found.end()
        # A last delimiter without its two hyphens opens a part with nothing in it: that is one fault, not a part.
        if opened >= 0 and (not spans or self._octets[opened:end].strip()):
            spans.append((opened, end))
        return spans, False


def _head_length(octets: bytes) -> int:
    found = _HEAD_END.search(octets)
    return found.start() if found else len(octets)


def _header(octets: bytes, begin: int, end: int) -> tuple[tuple[Field, ...], int]:
    """Read the header fields from an offset on; also return where the body begins."""
    found = _HEAD_END.search(octets, begin, min(end, begin + LARGEST_HEADER + 4))
    if octets[begin : begin + 2] == b"\r\n" or octets[begin : begin + 1] == b"\n":
        return (), begin + (1 if octets[begin : begin + 1] == b"\n" else 2)
    if found is None and end - begin > LARGEST_HEADER:
        raise BeyondLimit(f"a header section has more than {LARGEST_HEADER >> 10} KiB")
    stop, body = (found.start(), found.end()) if found else (end, end)
    return tuple(_fields(octets[begin:stop])), min(body, end)


def _fields(head: bytes) -> Iterator[Field]:
    folded: list[list[bytes]] = []
    for line in _LINE_END.split(head):
        if line[:1] in (b" ", b"\t"):
            if folded:
                folded[-1].append(line)
        elif line and not (line.startswith(b"From ") and not folded):
            folded.append([line])
        if len(folded) > MOST_FIELDS:
            raise BeyondLimit(f"a header section has more than {MOST_FIELDS} fields")
    for lines in folded:
        found = _FIELD.fullmatch(b"".join(lines))
        if found:
            yield Field(found[1].decode("ascii").lower(), found[2].decode("utf-8", "replace").strip())


def subject_of(message: Message) -> str | None:
    """Return the Subject with its encoded words decoded; None if there is none."""
    subject = message.first("subject")
    return None if subject is None else decoded_words(subject)


def _from_base64(body: bytes) -> tuple[bytes, str]:
    """Decode base64 in any style: one long line or many, padded or not, several pieces, either alphabet."""
    letters = body.translate(_ONE_ALPHABET, b" \t\r\n\f\v")
    clean = letters.translate(None, _NO_BASE64)
    odd = f"{len(letters) - len(clean)} octets that are no base64" if len(clean) != len(letters) else ""
    if clean.rstrip(b"=").count(b"=") > 2 * MOST_BASE64_PIECES:
        raise BeyondLimit(f"a part has more than {MOST_BASE64_PIECES} pieces of base64")
    found: list[bytes] = []
    for piece in filter(None, re.split(rb"=+", clean)):
        if len(piece) % 4 == 1:
            odd = odd or "a base64 group of one letter at the end"
        whole = piece[: len(piece) - 1] if len(piece) % 4 == 1 else piece
        found.append(base64.b64decode(whole + b"=" * (-len(whole) % 4)))
    return b"".join(found), odd


# ---------------------------------------------------------------------------------------------------------------------
# Parameters of header fields (RFC 2045, section 5.1; RFC 2231) and encoded words (RFC 2047): linear, and never raises

_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"?|([^;]*+))', re.DOTALL)
_COMMENT = re.compile(r"\([^()]*+\)")
_SECTION = re.compile(r"(?P<name>[^*]+)(?:\*(?P<number>\d{1,3}))?(?P<extended>\*)?", re.ASCII)
_WORD = re.compile(r"=\?([A-Za-z0-9*_.-]{1,40})\?([bBqQ])\?([^?]*+)\?=", re.ASCII)
_BETWEEN_WORDS = re.compile(r"(\?=)\s++(?==\?)")


def value_and_parameters(field: str) -> tuple[str, Mapping[str, str]]:
    """Return the value of a field in lower case, and its parameters by their names in lower case.

    Continuations are joined and percent-encoded values decoded; of two parameters of one name the first stays.
    """
    value, _, _ = field.partition(";")
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, inside, bare in _PARAMETER.findall(field):
        text = re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL) if inside else _COMMENT.sub("", bare).strip()
        section = _SECTION.fullmatch(name.lower())
        if section is None:
            continue
        found = pieces.setdefault(section["name"], {})
        found.setdefault(int(section["number"] or 0), (text, section["extended"] is not None))
    return _COMMENT.sub("", value).strip().lower(), {name: _joined(sections) for name, sections in pieces.items()}


def decoded_words(text: str) -> str:
    """Return text with its encoded words (RFC 2047) decoded; what cannot be decoded stays as it is."""
    return _WORD.sub(lambda found: _decoded(found[0], *found.groups()), _BETWEEN_WORDS.sub(r"\1", text))


def _joined(sections: Mapping[int, tuple[str, bool]]) -> str:
    """Join the sections of a parameter; the charset stands in front of the first and holds for all."""
    charset, octets = "utf-8", b""
    for number in sorted(sections):
        text, extended = sections[number]
        if extended and number == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text) if extended else text.encode("utf-8", "replace")
    return decoded_words(_in_charset(octets, charset))


def _decoded(whole: str, charset: str, encoding: str, content: str) -> str:
    try:
        if encoding in "bB":
            octets = base64.b64decode(content + "=" * (-len(content) % 4), validate=True)
        else:
            octets = binascii.a2b_qp(content.encode("ascii", "replace"), header=True)
    except (binascii.Error, ValueError):
        return whole
    return _in_charset(octets, charset.partition("*")[0])


def _in_charset(octets: bytes, charset: str) -> str:
    # Only the charsets that header fields really have: Python's more exotic codecs are nobody's file name.
    known = {"us-ascii": "ascii", "iso-8859-1": "latin-1", "iso-8859-15": "iso-8859-15", "windows-1252": "cp1252"}
    return octets.decode(known.get(charset.lower(), "utf-8"), "replace")
