"""Reads JSON as far as it goes, and notes every place where it is not I-JSON (RFC 7493, RFC 8259).

Not `json.loads`: that one keeps nothing of a text that is cut short, lets a second member of the same name win in
silence, and takes NaN and lone surrogates. Numbers stay texts, so that no number is too long to be looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeAlias

from mta_sts_lab.tlsrpt.departures import Departure, Notes, quoted
from mta_sts_lab.tlsrpt.limits import DEEPEST_JSON, LARGEST_TEXT, MOST_VALUES, BeyondLimit


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    text: str

    @property
    def integer(self) -> int | None:
        """Its value where that is an integer of at most 30 digits, however it is written (`5`, `5.0`, `50e-1`)."""
        if re.fullmatch(r"-?\d{1,30}", self.text, re.ASCII):
            return int(self.text)
        value = float(self.text) if len(self.text) < 60 else float("nan")
        return int(value) if value.is_integer() and abs(value) < 1e30 else None

    @property
    def written_as_integer(self) -> bool:
        """Whether it has neither fraction nor exponent."""
        return re.fullmatch(r"-?(0|[1-9]\d*)", self.text, re.ASCII) is not None


Value: TypeAlias = "bool | str | Number | list[Value] | dict[str, Value] | None"


@dataclass(frozen=True, slots=True)
class JsonText:
    """What was read: the value (None if there is not even a beginning of one), and whether it was read to its end."""

    value: Value
    complete: bool


class _Broken(Exception):
    """The text is no JSON from here on."""


#: Characters of a member name that a path shows.
_LONGEST_STEP = 60


_BLANKS = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"true|false|null")
_ALIEN_WORD = re.compile(r"-?Infinity|NaN|[+-]?\.?\d[\d.eE+-]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NONCHARACTER = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)) + "]"
)
#: Beyond it a double is the same for two neighbouring integers (RFC 7493, section 2.2).
_LARGEST_EXACT = 2**53 - 1
#: Significant digits that a double always keeps.
_DOUBLE_DIGITS = 17


def read_json(octets: bytes, notes: Notes) -> JsonText:
    """Read a JSON text as far as it goes; every departure from I-JSON is noted. Raises `BeyondLimit`."""
    if len(octets) > LARGEST_TEXT:
        raise BeyondLimit(f"the report has more than {LARGEST_TEXT >> 20} MiB of text")
    return _Reader(_text(octets, notes), notes).read()


def look_like_json(octets: bytes) -> bool:
    """Whether octets begin as a JSON object or array does, in UTF-8, UTF-16 or UTF-32, byte order mark or not."""
    head = octets[:4096].replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe")
    return head.removeprefix(b"\xfe\xff").lstrip(b" \t\r\n")[:1] in (b"{", b"[")


def _path(where: str, name: str) -> str:
    step = name if len(name) <= _LONGEST_STEP else name[:_LONGEST_STEP] + "..."
    return step if where == "$" else f"{where}.{step}"


def _text(octets: bytes, notes: Notes) -> str:
    encoding = json.detect_encoding(octets)
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.add(Departure("IJ-2.1-01", "not-utf-8", "JSON text", "UTF-8", encoding, also=("RPT-4-01",)))
        return octets.decode(encoding, "replace").removeprefix("\ufeff")
    if encoding == "utf-8-sig":
        observed = "a byte order mark in front"
        notes.add(Departure("RPT-4-01", "byte-order-mark", "JSON text", "no byte order mark (RFC 8259, 8.1)", observed))
        octets = octets[3:]
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = octets[error.start : error.end].hex(" ")
        observed = f"the octets {bad} at offset {error.start}"
        notes.add(Departure("IJ-2.1-01", "not-utf-8", "JSON text", "UTF-8", observed, also=("RPT-4-01",)))
        return octets.decode("utf-8", "replace")


class _Reader:
    """A recursive descent that hangs every container into its parent before it fills it: what was read is kept."""

    def __init__(self, text: str, notes: Notes) -> None:
        self._text = text
        self._notes = notes
        self._at = 0
        self._values = 0
        self._depth = 0
        # Only for the strings: the decoder of the standard library is fast and knows all escapes.
        self._strings = json.JSONDecoder(strict=False)

    def read(self) -> JsonText:
        root: list[Value] = []
        try:
            self._value("$", root.append)
            self._blanks()
        except _Broken:
            return JsonText(root[0] if root else None, complete=False)
        if self._at < len(self._text):
            rest = self._text[self._at : self._at + 40]
            self._note("RPT-4-01", "text-after-the-end", "$", "nothing after the closing bracket", quoted(rest))
        return JsonText(root[0], complete=True)

    def _value(self, where: str, attach: Callable[[Value], object]) -> None:
        self._blanks()
        self._values += 1
        if self._values > MOST_VALUES:
            raise BeyondLimit(f"the report has more than {MOST_VALUES} JSON values")
        match self._text[self._at : self._at + 1]:
            case "{":
                members: dict[str, Value] = {}
                attach(members)
                self._inside(partial(self._members, members, where))
            case "[":
                elements: list[Value] = []
                attach(elements)
                self._inside(partial(self._elements, elements, where))
            case '"':
                attach(self._string(where))
            case _:
                attach(self._scalar(where))

    def _inside(self, fill: Callable[[], None]) -> None:
        self._depth += 1
        if self._depth > DEEPEST_JSON:
            raise BeyondLimit(f"the JSON of the report is nested more than {DEEPEST_JSON} levels deep")
        self._at += 1
        fill()
        self._depth -= 1

    def _members(self, members: dict[str, Value], where: str) -> None:
        if self._closed("}", where, first=True):
            return
        while True:
            self._blanks()
            if not self._text.startswith('"', self._at):
                self._break(where, "a member name in quotation marks")
            name = self._string(where)
            self._blanks()
            self._demand(":", where)
            path = _path(where, name)
            if name in members:
                self._note(
                    "IJ-2.3-01", "duplicate-member", path, "each name once in an object", f"{quoted(name)} again"
                )
            # The first of two stays: the second may be an attempt to have two readers see two reports.
            self._value(path, partial(members.setdefault, name))
            if self._closed("}", where):
                return

    def _elements(self, elements: list[Value], where: str) -> None:
        if self._closed("]", where, first=True):
            return
        while True:
            self._value(f"{where}[{len(elements)}]", elements.append)
            if self._closed("]", where):
                return

    def _closed(self, bracket: str, where: str, first: bool = False) -> bool:
        """Step over the bracket that closes a container, or over the comma in front of its next entry."""
        self._blanks()
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        if first:
            return False
        self._demand(",", where, f"a comma or {bracket}")
        self._blanks()
        if self._text.startswith(bracket, self._at):
            self._note("RPT-4-01", "trailing-comma", where, f"no comma in front of {bracket}", f",{bracket}")
            self._at += 1
            return True
        return False

    def _string(self, where: str) -> str:
        begin = self._at
        try:
            text, self._at = self._strings.raw_decode(self._text, begin)
        except json.JSONDecodeError as error:
            self._at = len(self._text) if error.msg.startswith("Unterminated") else error.pos
            self._break(where, "a string with legal escapes and a closing quotation mark")
        if _CONTROL.search(self._text, begin, self._at):
            self._note("RPT-4-01", "control-character", where, "control characters written as escapes", quoted(text))
        if _SURROGATE.search(text):
            self._note("IJ-2.1-01", "lone-surrogate", where, "whole code points", quoted(text))
        if _NONCHARACTER.search(text):
            self._note("IJ-2.1-01", "noncharacter", where, "no noncharacters", quoted(text))
        return str(text)

    def _scalar(self, where: str) -> Value:
        alien = _ALIEN_WORD.match(self._text, self._at)
        number = _NUMBER.match(self._text, self._at)
        if number is not None and (alien is None or number.end() >= alien.end()):
            self._at = number.end()
            self._judge_number(number[0], where)
            return Number(number[0])
        if alien:
            self._at = alien.end()
            self._note("RPT-4-01", "no-json-number", where, "a number as JSON writes it", quoted(alien[0]))
            legal = _NUMBER.fullmatch(alien[0].lstrip("+").lstrip("0") or "0")
            return Number(legal[0]) if legal else Number("NaN")
        word = _WORD.match(self._text, self._at)
        if word is None:
            self._break(where, "a value")
        self._at = word.end()
        return _WORDS[word[0]]

    def _judge_number(self, text: str, where: str) -> None:
        digits = re.split("[eE]", text)[0].replace("-", "").replace(".", "").lstrip("0")
        if Number(text).written_as_integer:
            fits = len(digits) <= _DOUBLE_DIGITS and abs(int(text)) <= _LARGEST_EXACT
        else:
            fits = len(digits.rstrip("0")) <= _DOUBLE_DIGITS and len(text) < 60 and abs(float(text)) != float("inf")
        if not fits:
            self._note("IJ-2.2-01", "number-beyond-double", where, "what a double holds exactly", quoted(text))

    def _blanks(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _demand(self, character: str, where: str, expected: str = "") -> None:
        if not self._text.startswith(character, self._at):
            self._break(where, expected or f"a {character}")
        self._at += 1

    def _break(self, where: str, expected: str) -> NoReturn:
        rest = self._text[self._at : self._at + 40]
        reason = "broken-json" if rest else "cut-short"
        observed = f"{quoted(rest)} at character {self._at}" if rest else f"the end, at character {self._at}"
        self._note("RPT-4-01", reason, where, expected, observed)
        raise _Broken

    def _note(self, obligation: str, reason: str, where: str, expected: str, observed: str) -> None:
        self._notes.add(Departure(obligation, reason, where, expected, observed))
