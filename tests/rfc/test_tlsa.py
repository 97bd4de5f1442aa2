"""TLSA records: which are well formed, which SMTP can use, and what they match."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.rfc.tlsa import (
    DIGEST_LENGTHS,
    TlsaRecord,
    association,
    read_tlsa,
    strongest,
    tlsa_name,
    usable,
)

OCTET = st.integers(0, 255)
RECORDS = st.builds(TlsaRecord, OCTET, OCTET, OCTET, st.binary(min_size=1, max_size=80))
KEY, CERTIFICATE = b"the key", b"the certificate, which holds the key"


@given(RECORDS)
def test_a_record_reads_as_it_is_written(record: TlsaRecord) -> None:
    assert read_tlsa(str(record)) == record
    assert read_tlsa(str(record).upper()) == record


@given(st.text(max_size=60))
def test_any_text_is_a_record_or_none(text: str) -> None:
    found = read_tlsa(text)
    assert found is None or read_tlsa(str(found)) == found


@pytest.mark.parametrize("text", ["", "3 1 1", "3 1 1 abc", "256 1 1 ab", "3 1 x ab", "3 1 1 ag", "-3 1 1 ab"])
def test_what_is_no_record(text: str) -> None:
    assert read_tlsa(text) is None


def test_blanks_in_the_data_do_not_count() -> None:
    assert read_tlsa("3 1 1 ab cd\tef") == TlsaRecord(3, 1, 1, bytes.fromhex("abcdef"))


@given(RECORDS)
def test_a_record_that_matches_is_usable_and_holds_what_was_chosen(record: TlsaRecord) -> None:
    if record.matches(CERTIFICATE, KEY):
        assert record.usable
        assert record.data == association(record.matching, KEY if record.selector else CERTIFICATE)


@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_each_kind_of_record_matches_its_own_certificate_and_no_other(usage: int, selector: int, matching: int) -> None:
    record = TlsaRecord(usage, selector, matching, association(matching, (CERTIFICATE, KEY)[selector]))
    assert record.usable
    assert record.matches(CERTIFICATE, KEY)
    assert not record.matches(b"another certificate", b"another key")


@pytest.mark.parametrize("usage", [0, 1, 4, 255])
def test_other_usages_cannot_be_used(usage: int) -> None:
    assert not TlsaRecord(usage, 1, 1, hashlib.sha256(KEY).digest()).usable


@given(st.integers(0, 100))
def test_a_digest_of_another_length_cannot_be_used(length: int) -> None:
    for matching, right in DIGEST_LENGTHS.items():
        assert TlsaRecord(3, 1, matching, bytes(length)).usable == (length == right)


def test_unknown_selectors_and_matching_types_cannot_be_used() -> None:
    assert not TlsaRecord(3, 2, 1, bytes(32)).usable
    assert not TlsaRecord(3, 1, 3, bytes(32)).usable
    with pytest.raises(ValueError, match="matching type 3"):
        association(3, KEY)


@given(st.lists(RECORDS, max_size=6))
def test_whatever_counts_can_be_used_and_something_counts_if_anything_can(records: list[TlsaRecord]) -> None:
    assert set(strongest(records)) <= set(usable(records))
    assert bool(strongest(records)) == bool(usable(records))


def test_of_two_digests_the_stronger_counts_and_full_data_beside_it() -> None:
    weak, strong, full = (TlsaRecord(3, 1, matching, association(matching, KEY)) for matching in (1, 2, 0))
    other = TlsaRecord(3, 0, 1, bytes(32))
    assert strongest([weak, strong, full, other]) == (strong, full, other)
    assert strongest([weak, full]) == (weak, full)


def test_the_name_has_the_port_and_the_protocol() -> None:
    assert tlsa_name("mx1.a.example") == "_25._tcp.mx1.a.example"
    assert tlsa_name("mx1.a.example", 2525) == "_2525._tcp.mx1.a.example"
