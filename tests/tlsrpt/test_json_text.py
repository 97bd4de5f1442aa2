"""The JSON reader agrees with the standard library about what JSON is, and notes what I-JSON forbids on top."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.tlsrpt.departures import Notes
from mta_sts_lab.tlsrpt.json_text import JsonText, Number, Value, look_like_json, read_json
from mta_sts_lab.tlsrpt.limits import DEEPEST_JSON, MOST_VALUES, BeyondLimit

SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"))
DOCUMENTS = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), inner, max_size=5)
    ),
    max_leaves=30,
)


def _read(octets: bytes) -> tuple[JsonText, set[tuple[str, str]]]:
    notes = Notes()
    read = read_json(octets, notes)
    return read, {(one.obligation, one.reason) for one in notes}


def _plain(value: Value) -> Any:
    if isinstance(value, Number):
        return json.loads(value.text)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value


@given(DOCUMENTS, st.sampled_from([None, 1]), st.booleans())
def test_what_the_library_writes_is_read_back(document: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    read, noted = _read(text.encode())
    assert read.complete
    assert _plain(read.value) == document
    assert "RPT-4-01" not in {obligation for obligation, _ in noted}


def _is_json(text: str) -> bool:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \t\n\\u"aNI', max_size=40))
def test_whatever_is_no_json_is_noted_and_whatever_is_has_no_such_note(text: str) -> None:
    try:
        _, noted = _read(text.encode())
    except BeyondLimit:
        return
    assert ("RPT-4-01" in {obligation for obligation, _ in noted}) != _is_json(text)


@given(DOCUMENTS, st.data())
def test_a_text_that_is_cut_is_never_complete(document: Any, data: st.DataObject) -> None:
    text = json.dumps({"document": document})
    cut = data.draw(st.integers(0, len(text) - 1))
    read, noted = _read(text[:cut].encode())
    assert not read.complete
    assert ("RPT-4-01", "cut-short") in noted or ("RPT-4-01", "broken-json") in noted


def test_the_beginning_of_a_cut_text_is_kept() -> None:
    read, noted = _read(b'{"a": [1, {"b": "c", "d": [tru')
    assert _plain(read.value) == {"a": [1, {"b": "c", "d": []}]}
    assert noted == {("RPT-4-01", "broken-json")}


@pytest.mark.parametrize(
    ("octets", "noted"),
    [
        (b'{"a": 1, "a": 2}', {("IJ-2.3-01", "duplicate-member")}),
        (b'{"a": 1, "\\u0061": 2}', {("IJ-2.3-01", "duplicate-member")}),
        (b'{"a": "\xff"}', {("IJ-2.1-01", "not-utf-8")}),
        (b'{"a": "\xed\xa0\x80"}', {("IJ-2.1-01", "not-utf-8")}),
        (b'{"a": "\\ud800"}', {("IJ-2.1-01", "lone-surrogate")}),
        (b'{"\\udc00": 1}', {("IJ-2.1-01", "lone-surrogate")}),
        (b'{"a": "\\ufdd0"}', {("IJ-2.1-01", "noncharacter")}),
        ('{"a": "\U0001ffff"}'.encode(), {("IJ-2.1-01", "noncharacter")}),
        (b'{"a": "\\ud83d\\ude00"}', set()),
        (b'{"a": 9007199254740993}', {("IJ-2.2-01", "number-beyond-double")}),
        (b'{"a": 1e999}', {("IJ-2.2-01", "number-beyond-double")}),
        (b'{"a": ' + b"9" * 5000 + b"}", {("IJ-2.2-01", "number-beyond-double")}),
        (b'{"a": NaN}', {("RPT-4-01", "no-json-number")}),
        (b'{"a": -Infinity}', {("RPT-4-01", "no-json-number")}),
        (b'{"a": 007}', {("RPT-4-01", "no-json-number")}),
        (b'{"a": 1,}', {("RPT-4-01", "trailing-comma")}),
        (b'{"a": "b\nc"}', {("RPT-4-01", "control-character")}),
        (b'{"a": 1} {"b": 2}', {("RPT-4-01", "text-after-the-end")}),
        (b'\xef\xbb\xbf{"a": 1}', {("RPT-4-01", "byte-order-mark")}),
        ('{"a": 1}'.encode("utf-16"), {("IJ-2.1-01", "not-utf-8")}),
        ('{"a": 1}'.encode("utf-16-be"), {("IJ-2.1-01", "not-utf-8")}),
        ('{"a": 1}'.encode("utf-32-le"), {("IJ-2.1-01", "not-utf-8")}),
        (b"{'a': 1}", {("RPT-4-01", "broken-json")}),
    ],
)
def test_departures_from_i_json(octets: bytes, noted: set[tuple[str, str]]) -> None:
    assert _read(octets)[1] == noted


def test_the_first_of_two_members_stays() -> None:
    read, _ = _read(b'{"a": {"b": 1}, "a": {"b": 2}}')
    assert _plain(read.value) == {"a": {"b": 1}}


def test_depth_and_number_of_values_are_bounded() -> None:
    assert _read(b"[" * DEEPEST_JSON + b"]" * DEEPEST_JSON)[0].complete
    with pytest.raises(BeyondLimit, match="nested"):
        _read(b"[" * (DEEPEST_JSON + 1) + b"]" * (DEEPEST_JSON + 1))
    with pytest.raises(BeyondLimit, match="values"):
        _read(b"[" + b"1," * MOST_VALUES + b"1]")


@pytest.mark.parametrize("octets", [b" {", b"[", b"\xef\xbb\xbf{", "{".encode("utf-16"), "[1".encode("utf-32-be")])
def test_json_is_told_by_its_beginning(octets: bytes) -> None:
    assert look_like_json(octets)


@pytest.mark.parametrize("octets", [b"", b"x", b"Subject: {", b"\x1f\x8b"])
def test_other_things_are_not(octets: bytes) -> None:
    assert not look_like_json(octets)


def test_numbers_that_are_integers_however_written() -> None:
    assert [Number(text).integer for text in ("5", "5.0", "50e-1", "-0", "5.5", "1e400", "9" * 40)] == [
        5,
        5,
        5,
        0,
        None,
        None,
        None,
    ]
