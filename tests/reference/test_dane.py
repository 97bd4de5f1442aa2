"""DANE in the reference sender: which records count, and what a session needs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mta_sts_lab.reference.dane import Tlsa, problem_with, usable_records
from mta_sts_lab.reference.flaws import NO_FLAWS
from mta_sts_lab.reference.resolver import TlsaRecord
from mta_sts_lab.reference.tls import WRONG_NAME

from tests.reference.standin import Internet, sender, settle

DOMAIN, HOST = "there.example", "mx1.there.example"
NAME = f"_25._tcp.{HOST}"
CA = trustme.CA()
LEAF = CA.issue_cert(HOST)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


CHAIN = [der(LEAF.cert_chain_pems[0].bytes()), der(CA.cert_pem.bytes())]


def record(usage: int, selector: int, matching: int, of: bytes) -> TlsaRecord:
    if selector:
        key = x509.load_der_x509_certificate(of).public_key()
        of = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digests = {1: hashlib.sha256, 2: hashlib.sha512}
    return TlsaRecord(usage, selector, matching, digests[matching](of).digest() if matching else of)


def problem(one: TlsaRecord, chain: list[bytes], *names: str) -> int | None:
    tlsa = Tlsa(HOST, (one,), usable_records([one]))
    found = problem_with(chain, tlsa, names or (HOST, DOMAIN), NO_FLAWS)
    return found.code if found else None


def test_dane_ee_looks_at_the_key_alone() -> None:
    assert problem(record(3, 1, 1, CHAIN[0]), CHAIN[:1], "mx.elsewhere.example") is None
    assert problem(record(3, 0, 0, CHAIN[0]), CHAIN[:1]) is None
    assert problem(record(3, 1, 1, CHAIN[1]), CHAIN) is not None


def test_dane_ta_needs_the_chain_and_a_name() -> None:
    for selector, matching in ((0, 0), (0, 1), (1, 0), (1, 1)):
        anchor = record(2, selector, matching, CHAIN[1])
        assert problem(anchor, CHAIN) is None
        assert problem(anchor, CHAIN, "mx.elsewhere.example") == WRONG_NAME
        # Not sent by the host, the anchor is known where DNS has all of it, or its whole key.
        assert (problem(anchor, CHAIN[:1]) is None) is (matching == 0)
    stranger = der(trustme.CA().cert_pem.bytes())
    assert problem(record(2, 0, 1, stranger), [CHAIN[0], stranger]) is not None
    assert problem(record(2, 1, 0, stranger), CHAIN[:1]) is not None
    assert problem(TlsaRecord(2, 1, 0, b"no key"), CHAIN[:1]) is not None


def test_digests_are_compared_where_usage_and_selector_are_the_same() -> None:
    strong, weak = record(3, 1, 2, CHAIN[0]), record(3, 1, 1, CHAIN[0])
    other, whole = record(3, 0, 1, CHAIN[0]), record(3, 1, 0, CHAIN[0])
    assert usable_records([weak, strong, other, whole]) == (strong, other, whole)


def publish(internet: Internet, record: str) -> None:
    internet.dns.zone[NAME, "TLSA"] = [record]
    internet.dns.secure |= {(DOMAIN, "MX"), (HOST, "A"), (NAME, "TLSA")}


async def test_mail_is_held_if_no_record_matches_and_flows_without_ad(internet: Internet, tmp_path: Path) -> None:
    publish(internet, f"3 1 1 {'ab' * 32}")
    async with sender(internet, tmp_path) as target:
        assert await settle(target) != "gone"
        assert internet.mx1.taken == []
        assert internet.mx1.envelopes == []
        internet.dns.secure.discard((NAME, "TLSA"))
        await target.flush()
        assert await settle(target) == "gone"
    assert len(internet.mx1.taken) >= 1


async def test_no_host_is_asked_about_whose_addresses_are_insecure(internet: Internet, tmp_path: Path) -> None:
    publish(internet, f"3 1 1 {'ab' * 32}")
    internet.dns.secure.discard((HOST, "A"))
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert internet.dns.queries[NAME, "TLSA"] == 0


async def test_a_failed_look_up_keeps_the_sender_away(internet: Internet, tmp_path: Path) -> None:
    publish(internet, f"3 1 1 {'ab' * 32}")
    internet.dns.rcodes[NAME, "TLSA"] = "SERVFAIL"
    async with sender(internet, tmp_path) as target:
        assert await settle(target) != "gone"
    assert internet.mx1.connections == 0


async def test_records_that_cannot_be_used_ask_for_tls_alone(internet: Internet, tmp_path: Path) -> None:
    publish(internet, f"3 1 1 {'ab' * 31}")
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
        assert [mail.secured for mail in internet.mx1.taken] == [True]
        internet.show(internet.mx1, None)
        assert await settle(target) != "gone"
    assert len(internet.mx1.taken) == 1
