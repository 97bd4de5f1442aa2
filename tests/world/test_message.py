"""What is read out of messages, honest and hostile."""

from __future__ import annotations

import base64
import email
import math
import quopri
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.world.message import (
    Bounce,
    body_digest,
    bounces_in,
    probe_message,
    quotes_body,
    quotes_header,
    stamped,
    token_of_address,
    tokens_in,
    tokens_of_message,
)

TOKEN = "0123456789abcdef"

BOUNCE = b"""\
From: MAILER-DAEMON@target.example
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

Sorry.
--x
Content-Type: message/delivery-status

Reporting-MTA: dns; target.example

Final-Recipient: rfc822; One@c0ffee.example
Action: FAILED
Status: 5.7.1 (policy)
Diagnostic-Code: smtp; 550 5.7.1
 not here

Final-Recipient: rfc822; two@c0ffee.example
Action: delayed
Status: 4.7.5

--x--
"""


def test_a_probe_carries_its_token_everywhere() -> None:
    probe = probe_message(TOKEN, "sender.example", "c0ffee.example", "Figures")
    assert (probe.sender, probe.recipient) == (f"{TOKEN}@sender.example", f"{TOKEN}@c0ffee.example")
    message = email.message_from_bytes(probe.content)
    assert message["X-Lab-Token"] == TOKEN
    assert message["Subject"] == "Figures"
    assert f"lab-token:{TOKEN}" in str(message.get_payload())
    assert tokens_in(probe.content) == (TOKEN,)
    assert max(map(len, probe.content.split(b"\r\n"))) < 78
    assert probe.content.isascii()
    assert b"\n" not in probe.content.replace(b"\r\n", b"")
    assert probe.digest == body_digest(probe.content)


def test_tokens_are_found_in_header_body_and_envelope() -> None:
    other = "f" * 16
    content = f"X-LAB-TOKEN: {TOKEN}\r\n\r\nlab-token:{other} lab-token:{TOKEN}\r\n".encode()
    assert tokens_of_message(content, ["a" * 16 + "@c0ffee.example", "somebody@c0ffee.example"]) == (
        TOKEN,
        other,
        "a" * 16,
    )


def test_what_a_notice_quotes_of_a_message() -> None:
    sent = probe_message(TOKEN, "sender.example", "c0ffee.example", "Lab message").content
    header, _, body = sent.partition(b"\r\n\r\n")
    assert [quotes_header(BOUNCE), quotes_body(BOUNCE)] == [False, False]
    assert [quotes_header(BOUNCE + header), quotes_body(BOUNCE + header)] == [True, False]
    assert [quotes_header(BOUNCE + header.upper()), quotes_header(BOUNCE + body)] == [True, False]
    assert [quotes_header(BOUNCE + sent), quotes_body(BOUNCE + sent)] == [True, True]


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
@pytest.mark.parametrize("kind", ["message/rfc822", "text/rfc822-headers", "text/plain"])
def test_what_a_notice_quotes_in_an_encoding(kind: str, encoding: str) -> None:
    sent = probe_message(TOKEN, "sender.example", "c0ffee.example", "Lab message").content
    header = sent.partition(b"\r\n\r\n")[0]
    encode = base64.encodebytes if encoding == "base64" else quopri.encodestring

    def notice(quoted: bytes) -> bytes:
        head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        part = head + encode(quoted)
        return b'Content-Type: multipart/report; boundary="="\r\n\r\n--=\r\n' + part + b"\r\n--=--\r\n"

    assert [quotes_header(notice(header)), quotes_body(notice(header))] == [True, False]
    assert [quotes_header(notice(sent)), quotes_body(notice(sent))] == [True, True]
    assert [quotes_header(notice(b"given up\r\n")), quotes_body(notice(b"given up\r\n"))] == [False, False]


def test_two_fields_of_a_message_are_its_header() -> None:
    sent = probe_message(TOKEN, "sender.example", "c0ffee.example", "Lab message").content
    author, recipient, *others = sent.split(b"\r\n")
    identifier = next(line for line in others if line.startswith(b"Message-ID"))
    notice = b"To: <" + TOKEN.encode() + b"@sender.example>\r\n\r\nGiven up:\r\n"
    assert quotes_header(notice + author + b"\r\n" + recipient + b"\r\n")
    assert quotes_header(notice + recipient + b"\r\n" + identifier + b"\r\n")
    assert not quotes_header(notice + identifier + b"\r\n")


@pytest.mark.parametrize(
    "text", ["lab-token:0123", "lab-token:0123456789abcdef0", "0123456789abcdef", "lab-token:0123456789abcdeg"]
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert tokens_in(text.encode()) == ()


def test_addresses() -> None:
    assert token_of_address(f"{TOKEN}@sender.example") == TOKEN
    assert token_of_address("postmaster@sender.example") == ""
    assert token_of_address("") == ""


def test_a_relay_may_touch_the_header_and_the_line_ends() -> None:
    sent = b"Subject: x\r\n\r\none\r\n\r\ntwo\r\n"
    assert body_digest(sent) == body_digest(b"Received: y\nSubject: x\n\none\n\ntwo\n\n\n")
    for touched in (b"Subject: x\r\n\r\none\r\ntwo\r\n", b"Subject: x\r\n\r\none\r\n\r\ntwo \r\n", b"Subject: x\r\n"):
        assert body_digest(sent) != body_digest(touched)


def test_a_bounce_tells_of_each_recipient() -> None:
    assert bounces_in(BOUNCE.replace(b"\n", b"\r\n")) == (
        Bounce("one@c0ffee.example", "failed", "5.7.1", "smtp; 550 5.7.1 not here", ("target.example",)),
        Bounce("two@c0ffee.example", "delayed", "4.7.5", "", ("target.example",)),
    )


def test_a_bounce_names_its_author_and_the_host_that_was_to_take_the_message() -> None:
    of_two = BOUNCE.replace(b"Status: 4.7.5", b"Status: 4.7.5\nRemote-MTA: DNS; [IPv6:2001:db8::1]")
    assert [bounce.hosts for bounce in bounces_in(of_two)] == [
        ("target.example",),
        ("target.example", "[IPv6:2001:db8::1]"),
    ]
    assert bounces_in(BOUNCE.replace(b"dns; target", b"x400; target"))[0].hosts == ()


def test_a_delay_stays_a_delay_whatever_it_is_wrapped_in() -> None:
    """OpenSMTPD 7.6 warns of a delay in a multipart/mixed: taken for a failure, every hold of it would be a bounce."""
    warning = BOUNCE.replace(
        b'multipart/report; report-type=delivery-status; boundary="x"', b'multipart/mixed;boundary="x"'
    )
    assert warning != BOUNCE
    assert [bounce.action for bounce in bounces_in(warning)] == ["failed", "delayed"]


def enclosing(notice: bytes, kind: bytes = b"multipart/mixed") -> bytes:
    """Return a bounce that encloses a warning of a delay, as it was sent before."""
    head = b"From: MAILER-DAEMON@target.example\nContent-Type: " + kind + b"; boundary=o\n\n--o\n"
    return head + notice + b"\n--o\nContent-Type: message/rfc822\n\n" + BOUNCE + b"\n--o--\n"


def test_what_a_bounce_encloses_is_not_its_own_word() -> None:
    """An earlier warning of a delay, taken for what the bounce says, would make a message given up one that is held."""
    plain = enclosing(b"Content-Type: text/plain\n\nPermanent failure, giving up.\n")
    assert bounces_in(plain) == (Bounce("", "unreadable", "", ""),)
    status = b"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.0.0\n"
    report = enclosing(b"Content-Type: message/delivery-status\n\n" + status, b"multipart/report")
    assert bounces_in(report) == (Bounce("a@b.example", "failed", "5.0.0", "", ("x",)),)


@pytest.mark.parametrize(
    ("said", "action"),
    [
        (b"FAILED", "failed"),
        (b"failed (gave up)", "failed"),
        (b"delayed (will try again)", "delayed"),
        (b"failure", "unreadable"),
        (b"not delayed", "unreadable"),
        (b"", "unreadable"),
    ],
)
def test_an_action_is_one_of_five_words(said: bytes, action: str) -> None:
    other = re.sub(rb"(?mi)^Action: .*$", b"Action: " + said, BOUNCE)
    assert {bounce.action for bounce in bounces_in(other)} == {action}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Subject: Undeliverable\r\n\r\nSorry.\r\n",
        b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n--x--\r\n",
        b"Content-Type: multipart/report\r\n\r\nnothing\r\n",
        b"".join(b"Content-Type: multipart/report; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000)),
    ],
)
def test_what_cannot_be_read_is_said_to_be_unreadable(content: bytes) -> None:
    assert bounces_in(content) == (Bounce("", "unreadable", "", ""),)


@given(st.binary(max_size=400))
def test_no_octets_raise(content: bytes) -> None:
    tokens_of_message(content, [])
    assert len(body_digest(content)) == 64
    assert bounces_in(content)
    assert bounces_in(BOUNCE[:150] + content + BOUNCE[150:])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"Received: by a.example; Thu, 01 Jan 1970 01:00:00 +0000\r\n", 3600.0),
        (b"X: y\r\nreceived: from b\r\n by a.example\r\n ; 1 Jan 1970 01:00:00 +0100\r\n", 0.0),
        (b"Received: ; 2 Jan 1970 00:00:00 GMT\r\nReceived: ; 3 Jan 1970 00:00:00 GMT\r\n", 86400.0),
        (b"Subject: Received: ; 2 Jan 1970 00:00:00 GMT\r\n", 0.0),
        (b"Received: by a.example; soon\r\n", 0.0),
        (b"Received: 1 Jan 9999999 00:00:00 GMT\r\n", 0.0),
    ],
)
def test_the_time_at_which_a_relay_took_a_message(header: bytes, seconds: float) -> None:
    assert stamped(header + b"\r\nReceived: ; 2 Jan 1970 00:00:00 GMT\r\n") == seconds


@given(st.binary(max_size=200))
def test_whatever_stands_in_a_received_field_is_harmless(octets: bytes) -> None:
    assert math.isfinite(stamped(b"Received: ;" + octets))
