"""Parameters of MIME header fields (RFC 2045, section 5.1), RFC 2231 names and continuations, and RFC 2047 words.

Written for input that nobody vouches for: linear in the length of the field, and nothing in it raises.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

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
