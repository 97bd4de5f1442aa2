from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.reference.flaws import parse_flaws
from mta_sts_lab.reference.policy import (
    LONGEST_MAX_AGE,
    Policy,
    PolicyInvalid,
    format_policy,
    matches,
    parse_policy,
)

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
    assert policy.allows("b.example", any_depth=True)


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
