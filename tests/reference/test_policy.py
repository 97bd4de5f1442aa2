"""Reading policies and their TXT records, and what flaws make of it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.reference.flaws import Flaws, parse_flaws
from mta_sts_lab.reference.policy import (
    LONGEST_MAX_AGE,
    NoPolicyRecord,
    Policy,
    PolicyInvalid,
    PolicyRecord,
    matches,
    parse_policy,
    parse_record,
    select_record,
)

from tests.reference.standin import format_policy

LABELS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
BODY = b"version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 60\n"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: BODY + text.encode("utf-8", "ignore")))
def test_nothing_but_invalid_is_raised(body: bytes) -> None:
    try:
        policy = parse_policy(body)
    except PolicyInvalid:
        return
    assert policy.mode in ("enforce", "testing", "none")
    assert 0 <= policy.max_age <= LONGEST_MAX_AGE


@given(
    st.sampled_from(["enforce", "testing"]),
    st.integers(0, LONGEST_MAX_AGE),
    st.lists(HOSTS | HOSTS.map("*.{}".format), min_size=1, max_size=4),
)
def test_round_trip(mode: str, max_age: int, patterns: list[str]) -> None:
    policy = parse_policy(format_policy(mode, max_age, patterns))
    assert (policy.mode, policy.max_age, policy.mx) == (mode, max_age, tuple(patterns))
    assert format_policy(mode, max_age, patterns).decode().split("\r\n")[:-1] == list(policy.lines)


@given(HOSTS, st.data())
def test_matching_ignores_case_and_the_root_dot(host: str, data: st.DataObject) -> None:
    spelt = "".join(data.draw(st.sampled_from([letter.upper(), letter.lower()])) for letter in host)
    assert matches(host, spelt + data.draw(st.sampled_from(["", "."])))


@given(HOSTS, st.lists(LABELS, max_size=3))
def test_a_wildcard_is_exactly_one_label(parent: str, labels: list[str]) -> None:
    host = ".".join([*labels, parent])
    assert matches(f"*.{parent}", host) is (len(labels) == 1)
    assert matches(f"*.{parent}", host, any_depth=True)


@given(st.text(max_size=40), st.text(max_size=40))
def test_matching_never_raises(pattern: str, host: str) -> None:
    assert matches(pattern, host) in (True, False)


def test_matching_is_by_whole_labels() -> None:
    assert not matches("mx.example", "evilmx.example")
    assert not matches("*.example", "evilexample")
    assert not matches("*.example", ".example")
    assert not matches("mx.example", "")
    assert not matches("*.mx.example", "localhost")


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        BODY.replace(b"\n", b"\r\n"),
        BODY.rstrip(b"\n"),
        b"max_age:60\nmx:mx.example\nmode:\tenforce \nversion: STSv1",
        BODY + b"x-note: \xc3\xa9 and more\n",
        BODY + b"mode: none\nversion: STSv9\nmax_age: never\n",
    ],
)
def test_valid(body: bytes) -> None:
    policy = parse_policy(body)
    assert (policy.mode, policy.max_age, policy.mx) == ("enforce", 60, ("mx.example",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        BODY.replace(b"version: STSv1\n", b""),
        BODY.replace(b"STSv1", b"stsv1"),
        BODY.replace(b"mode", b"Mode"),
        BODY.replace(b"enforce", b"Enforce"),
        BODY.replace(b"max_age: 60\n", b""),
        BODY.replace(b"60", b"-1"),
        BODY.replace(b"60", b"1.5"),
        BODY.replace(b"60", b"12345678901"),
        BODY.replace(b"60", "\u0666".encode()),
        BODY.replace(b"mx: mx.example\n", b""),
        BODY.replace(b"mx.example", b"mx.example, mx2.example"),
        BODY.replace(b"mx.example", b"*"),
        BODY.replace(b"mx.example", b"mx.*.example"),
        BODY.replace(b"mx.example", b"*.*.example"),
        BODY.replace(b"mx.example", b"mx..example"),
        BODY.replace(b"mx.example", b"mx.example."),
        BODY.replace(b"mx.example", "mx.b\u00fccher.example".encode()),
        BODY.replace(b"mode:", b" mode:"),
        BODY.replace(b"mode:", b"mode :"),
        BODY + b"note: a\x00b\n",
        BODY + b"\nnote: a\n",
        BODY + b"\r",
        BODY.rstrip(b"\n") + b"\r",
        b"\xef\xbb\xbf" + BODY,
        b"\xff\xfe" + BODY,
    ],
)
def test_invalid(body: bytes) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(body)


def test_none_needs_no_mx_and_ages_are_capped() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 9999999999\n").max_age == LONGEST_MAX_AGE


def test_the_last_duplicate_wins_only_by_flaw() -> None:
    body = BODY + b"mode: none\n"
    assert parse_policy(body).mode == "enforce"
    assert parse_policy(body, parse_flaws(["last_duplicate_wins"])).mode == "none"


def test_any_pattern_allows() -> None:
    policy = Policy("enforce", 1, ("a.example", "*.b.example"), ())
    assert policy.allows("X.b.example.")
    assert not policy.allows("b.example")
    assert policy.allows("b.example", Flaws(matches_wildcards_at_any_depth=True))


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"version: STSv1\nmode: none\nmax_age: 1\n", "demands_crlf"),
        (b"version: STSv1\r\nmode: none\r\nmax_age: 1\r\nx: y\r\n", "refuses_unknown_policy_fields"),
    ],
)
def test_a_flaw_refuses_what_is_valid(body: bytes, flaw: str) -> None:
    assert parse_policy(body).mode == "none"
    with pytest.raises(PolicyInvalid):
        parse_policy(body, parse_flaws([flaw]))


def test_a_flaw_takes_a_mode_in_any_case() -> None:
    body = b"version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n"
    with pytest.raises(PolicyInvalid):
        parse_policy(body)
    assert parse_policy(body, parse_flaws(["reads_modes_in_any_case"])).mode == "enforce"


IDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=32)


@given(st.lists(st.binary(max_size=80).map(lambda tail: tail if len(tail) % 2 else b"v=STSv1;" + tail), max_size=4))
def test_never_raises(records: list[bytes]) -> None:
    assert isinstance(select_record(records), PolicyRecord | NoPolicyRecord)


@given(IDS, st.sampled_from(["", ";", " ;", "; x=y", ";\tx-1.y_=a:b;"]))
def test_round_trip_of_a_record(policy_id: str, tail: str) -> None:
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
def test_valid_of_a_record(record: bytes) -> None:
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
def test_invalid_of_a_record(record: bytes) -> None:
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
