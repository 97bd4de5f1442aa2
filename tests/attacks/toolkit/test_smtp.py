from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks.toolkit.smtp import (
    LONGEST_LINE,
    LONGEST_REPLY,
    Command,
    LineBuffer,
    MessageEnd,
    NotSmtp,
    Reply,
    TokenScanner,
    keyword,
    reply,
)


def cut(octets: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    while octets:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(octets[:size])
        octets = octets[size:]
    return pieces


sizes = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def test_a_command_knows_its_verb() -> None:
    assert Command(b"starttls\r\n").verb == "STARTTLS"
    assert Command(b"MAIL FROM:<>\r\n").verb == "MAIL"
    assert Command(b"\r\n").verb == ""


def test_a_reply_is_punctuated_line_by_line() -> None:
    assert reply(250, "host", "SIZE 1", "HELP").raw == b"250-host\r\n250-SIZE 1\r\n250 HELP\r\n"
    assert [keyword(line) for line in reply(250, "host", "size 1").lines] == ["HOST", "SIZE"]


@given(sizes)
def test_replies_are_whole_however_they_are_cut(sizes: list[int]) -> None:
    buffer = LineBuffer()
    found: list[Reply] = []
    for piece in cut(b"250-a\r\n250-b c\r\n250 d\r\n221 bye\r\n250-never ends\r\n", sizes):
        buffer.feed(piece)
        while (genuine := buffer.take_reply()) is not None:
            found.append(genuine)
    assert [genuine.lines for genuine in found] == [("250-a", "250-b c", "250 d"), ("221 bye",)]
    assert buffer.peek() == b"250-never ends\r\n"


@given(sizes)
def test_lines_are_whole_however_they_are_cut(sizes: list[int]) -> None:
    buffer = LineBuffer()
    found: list[bytes] = []
    for piece in cut(b"EHLO a\r\nbare\n\r\nrest", sizes):
        buffer.feed(piece)
        while (line := buffer.take_line()) is not None:
            found.append(line)
    assert found == [b"EHLO a\r\n", b"bare\n", b"\r\n"]
    assert buffer.take_all() == b"rest"


def test_a_line_without_end_is_refused() -> None:
    buffer = LineBuffer()
    buffer.feed(b"x" * (LONGEST_LINE + 1))
    with pytest.raises(NotSmtp):
        buffer.take_line()
    with pytest.raises(NotSmtp):
        buffer.take_reply()


def test_a_reply_without_end_is_refused() -> None:
    buffer = LineBuffer()
    buffer.feed(b"250-more\r\n" * (LONGEST_REPLY + 1))
    with pytest.raises(NotSmtp):
        buffer.take_reply()


def test_what_is_no_reply_is_refused() -> None:
    buffer = LineBuffer()
    buffer.feed(b"hello\r\n")
    with pytest.raises(NotSmtp):
        buffer.take_reply()


@given(sizes, st.sampled_from([b"", b"a\r\n", b"..\r\n", b"a\n.\nb\r\n", b"a\r\n.b\r\n", b"\r\n\r\n"]))
def test_the_end_of_a_message_is_found_however_it_is_cut(sizes: list[int], body: bytes) -> None:
    end = MessageEnd()
    message = b""
    pieces = cut(body + b".\r\nQUIT\r\n", sizes)
    for number, piece in enumerate(pieces):
        found = end.take(piece)
        if found is None:
            message += piece
            continue
        assert message + found[0] == body + b".\r\n"
        assert found[1] + b"".join(pieces[number + 1 :]) == b"QUIT\r\n"
        return
    pytest.fail("no end was found")


@given(sizes)
def test_each_token_is_found_once_however_it_is_cut(sizes: list[int]) -> None:
    scanner = TokenScanner()
    text = (
        b"x-lab-token: 00000000000000AA\r\n\r\nlab-token:00000000000000aa\r\n"
        b"lab-token:00000000000000bb lab-token:00000000000000ccc lab-token:short\r\n"
    )
    found = [token for piece in cut(text, sizes) for token in scanner.feed(piece)]
    assert found == ["00000000000000aa", "00000000000000bb"]


def test_a_token_that_ends_the_stream_is_found_at_its_end() -> None:
    scanner = TokenScanner()
    assert scanner.feed(b"lab-token:0123456789abcdef") == []
    assert scanner.end() == ["0123456789abcdef"]
    assert scanner.end() == []
    longer = TokenScanner()
    longer.feed(b"lab-token:0123456789abcdef0")
    assert longer.end() == []
