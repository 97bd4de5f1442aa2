from __future__ import annotations

import contextlib
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.reference.odd_hellos import hello_that_resumes, hello_with_two_names
from mta_sts_lab.rfc.client_hello import (
    LARGEST_HELLO,
    NotTls,
    authenticates_server,
    is_ssl2_hello,
    looks_like_tls,
    parse_client_hello,
)

from tests.attacks.dialogues import client_hello

HELLO = client_hello("mx.example")


def test_the_server_name_is_found() -> None:
    hello = parse_client_hello(HELLO)
    assert hello is not None
    assert hello.sni == "mx.example"


def test_a_hello_without_a_server_name_has_none() -> None:
    hello = parse_client_hello(client_hello(""))
    assert hello is not None
    assert hello.sni == ""


def test_an_offer_to_resume_a_session_is_seen() -> None:
    offer = parse_client_hello(hello_that_resumes("mx.example"))
    assert offer is not None
    assert (offer.sni, offer.resumes) == ("mx.example", True)
    first = parse_client_hello(HELLO)
    assert first is not None
    assert not first.resumes, "an empty ticket only asks for one"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_openssls_own_offer_to_resume_is_seen(version: ssl.TLSVersion) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.example").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="mx.example")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (here, there, here, there):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    there.write(b"220 mx.example")
    assert here.read(100)  # the tickets came before it
    sent = ssl.MemoryBIO()
    again = client.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="mx.example", session=here.session)
    with contextlib.suppress(ssl.SSLWantReadError):
        again.do_handshake()
    hello = parse_client_hello(sent.read())
    assert hello is not None
    assert (hello.sni, hello.resumes) == ("mx.example", True)


@pytest.mark.parametrize(("newest", "version"), [(ssl.TLSVersion.TLSv1_3, "1.3"), (ssl.TLSVersion.TLSv1_2, "1.2")])
def test_the_newest_version_on_offer_is_found(newest: ssl.TLSVersion, version: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = newest
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="mx.example").do_handshake()
    hello = parse_client_hello(sent.read())
    assert hello is not None
    assert hello.version == version


@given(st.integers(0, len(HELLO) - 1))
def test_an_incomplete_hello_is_no_hello_yet(length: int) -> None:
    assert parse_client_hello(HELLO[:length]) is None


def test_a_hello_in_many_records_is_put_together() -> None:
    body = HELLO[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in (body[:3], body[3:90], body[90:])
    )
    hello = parse_client_hello(records + b"something behind it")
    assert hello is not None
    assert hello.sni == "mx.example"


@pytest.mark.parametrize(
    "octets",
    [b"EHLO x\r\n", b"\x16\x02\x00\x00\x01", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"],
)
def test_anything_else_is_refused(octets: bytes) -> None:
    with pytest.raises(NotTls):
        parse_client_hello(octets)


def test_a_hello_without_end_is_refused() -> None:
    with pytest.raises(NotTls):
        parse_client_hello((b"\x16\x03\x01\x40\x00" + bytes(0x4000)) * (LARGEST_HELLO // 0x4000 + 1))


@given(st.binary(max_size=120))
def test_hostile_hellos_are_refused_or_read_never_anything_else(body: bytes) -> None:
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    with contextlib.suppress(NotTls):
        parse_client_hello(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)


def test_smtp_never_looks_like_tls() -> None:
    assert looks_like_tls(HELLO)
    assert looks_like_tls(HELLO[:1])
    assert not looks_like_tls(b"")
    assert not looks_like_tls(b"EHLO x\r\n")


def test_an_ordinary_hello_offers_suites_in_which_the_server_shows_who_it_is() -> None:
    hello = parse_client_hello(HELLO)
    assert hello is not None
    assert any(map(authenticates_server, hello.cipher_suites))
    assert not hello.raw_public_keys
    assert not is_ssl2_hello(HELLO)


def test_signals_and_anonymous_suites_show_nothing() -> None:
    assert not any(map(authenticates_server, (0x00FF, 0x5600, 0x0034, 0xC018)))
    assert authenticates_server(0x1301)


def test_names_beside_the_first_are_found() -> None:
    hello = parse_client_hello(hello_with_two_names("mx1.example", "example"))
    assert hello is not None
    assert (hello.sni, hello.more_names) == ("mx1.example", ("example",))
    only = parse_client_hello(HELLO)
    assert only is not None
    assert only.more_names == ()
