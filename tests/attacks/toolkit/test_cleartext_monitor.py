"""What is said in clear where TLS belongs: found in any split, and recorded up to a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks.toolkit import cleartext_monitor
from mta_sts_lab.attacks.toolkit.cleartext_monitor import MOST_CLEAR_OCTETS, ClearLines, ClearTextFinder
from mta_sts_lab.attacks.toolkit.smtp import LONGEST_LINE
from mta_sts_lab.attacks.toolkit.tls_wire import record_ahead

from tests.attacks.dialogues import ENVELOPE, MESSAGE, client_hello

ALERT = b"\x15\x03\x03\x00\x02\x02\x30"
SECRET = b"\x17\x03\x03\x00\x0aMAIL FROM:"
cuts = st.lists(st.integers(1, 60), min_size=1, max_size=10)


def in_pieces(octets: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    while octets:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(octets[:size])
        octets = octets[size:]
    return pieces


@given(cuts)
def test_clear_text_is_found_between_records_however_it_is_cut(sizes: list[int]) -> None:
    finder = ClearTextFinder()
    octets = client_hello() + ALERT + ENVELOPE + SECRET + MESSAGE + ALERT + b"RSET"
    clear = b"".join(finder.feed(piece) for piece in in_pieces(octets, sizes))
    assert clear == ENVELOPE + MESSAGE + b"RSET"
    assert finder.alerts == ["unknown ca", "unknown ca"]


@pytest.mark.parametrize(
    "octets", [b"\x16\x04\x01\x00\x05QUIT\r\n", b"\x16\x03\x01MAIL FROM:<>\r\n", b"\x80\x2e\x01\r\n"]
)
def test_what_only_begins_like_a_record_is_clear_text(octets: bytes) -> None:
    assert ClearTextFinder().feed(octets) == octets


def test_a_record_ahead_is_known_by_its_header() -> None:
    assert record_ahead(ALERT[:5]) == 7
    assert record_ahead(b"\x17\x03\x03\x48\x00") == 18437
    assert record_ahead(b"\x17\x03\x03\x48\x01") == 0
    assert record_ahead(b"M") == 0
    assert [record_ahead(ALERT[:count]) for count in range(5)] == [None] * 5


@given(cuts)
def test_lines_are_the_same_however_they_are_cut(sizes: list[int]) -> None:
    lines = ClearLines()
    found = [line for piece in in_pieces(ENVELOPE + b"QUI", sizes) for line in lines.feed(piece)]
    assert found == ["MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"]
    assert lines.end() == ["QUI"]
    assert lines.end() == []


def test_a_line_without_end_is_kept_in_pieces() -> None:
    lines = ClearLines()
    assert lines.feed(b"x" * (LONGEST_LINE + 1)) == ["x" * (LONGEST_LINE + 1)]
    assert lines.feed(b"MAIL\r\n") == ["MAIL"]


def test_a_whole_message_fits_and_no_flood_does(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ClearLines()
    body = b"a line of usual length, of which there are very many in this message\r\n" * 14_000
    assert len(lines.feed(body)) == 14_000
    assert not lines.full
    lines.feed(body)
    assert lines.full
    assert lines.feed(b"more\r\n") == []
    monkeypatch.setattr(cleartext_monitor, "MOST_CLEAR_LINES", 3)
    many = ClearLines()
    assert many.feed(b"\n" * 5) == ["", "", ""]
    assert many.full
    assert MOST_CLEAR_OCTETS == 1 << 20
