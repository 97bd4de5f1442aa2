from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.reference.flaws import parse_flaws
from mta_sts_lab.reference.policy import NoPolicyRecord, PolicyRecord, parse_record, select_record

IDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=32)


@given(st.lists(st.binary(max_size=80).map(lambda tail: tail if len(tail) % 2 else b"v=STSv1;" + tail), max_size=4))
def test_never_raises(records: list[bytes]) -> None:
    assert isinstance(select_record(records), PolicyRecord | NoPolicyRecord)


@given(IDS, st.sampled_from(["", ";", " ;", "; x=y", ";\tx-1.y_=a:b;"]))
def test_round_trip(policy_id: str, tail: str) -> None:
    assert select_record([b"spf", f"v=STSv1; id={policy_id}{tail}".encode()]) == PolicyRecord(policy_id)


@pytest.mark.parametrize(
    "record",
    [
        b"v=STSv1;id=a1",
        b"v=STSv1; \t id=a1 ;",
        b"v=STSv1; ext=1; id=a1",
        b"v=STSv1; id=a1; id=b2",
        b"v=STSv1; ID=zz; id=a1",
    ],
)
def test_valid(record: bytes) -> None:
    assert select_record([record]) == PolicyRecord("a1")


@pytest.mark.parametrize(
    "record",
    [
        b"v=STSv1;",
        b"v=STSv1; id=",
        b"v=STSv1; id = a1",
        b"v=STSv1;; id=a1",
        b"v=STSv1; id=a1;;",
        b"v=STSv1; id=a-1",
        b"v=STSv1; id=" + b"a" * 33,
        b"v=STSv1; ID=a1",
        b"v=STSv1; id=a1; =x",
        b"v=STSv1; id=a1; x=",
        b"v=STSv1; id=a1; x=a b",
        b"v=STSv1; id=a1; _x=a",
        b"v=STSv1; id=\xc3\xa9",
        b"v=STSv2; id=a1",
        b"v=stsv1; id=a1",
        b"id=a1; v=STSv1;",
    ],
)
def test_invalid(record: bytes) -> None:
    assert isinstance(select_record([record]), NoPolicyRecord)


def test_exactly_one_record_counts() -> None:
    good = b"v=STSv1; id=a1;"
    assert select_record([good, b"v=spf1 -all", b"v=STSv1 ; id=b2"]) == PolicyRecord("a1")
    assert isinstance(select_record([good, good]), NoPolicyRecord)
    assert isinstance(select_record([]), NoPolicyRecord)


def test_flaws_change_just_their_rule() -> None:
    first, second = b"v=STSv1; id=a1;", b"v=STSv1; id=b2;"
    assert select_record([first, second], parse_flaws(["accepts_two_records"])) == PolicyRecord("a1")
    assert parse_record(b"v=STSv1; id=a1; id=b2", parse_flaws(["last_duplicate_wins"])) == PolicyRecord("b2")
    mixed = [b"v=spf1 -all", first]
    assert select_record(mixed) == PolicyRecord("a1")
    assert isinstance(select_record(mixed, parse_flaws(["counts_other_records"])), NoPolicyRecord)
    assert isinstance(select_record([b"v=STSv2; id=a1;"]), NoPolicyRecord)
    assert select_record([b"v=STSv2; id=a1;"], parse_flaws(["accepts_other_record_version"])) == PolicyRecord("a1")
    assert parse_record(b"v=STSv1; x=y; id=a1") == PolicyRecord("a1")
    assert isinstance(
        parse_record(b"v=STSv1; x=y; id=a1", parse_flaws(["refuses_unknown_record_fields"])), NoPolicyRecord
    )
