"""What the reader of policies says of a body that is wrong: which line, and why."""

from __future__ import annotations

import pytest
from mta_sts_lab.rfc.policy import LONGEST_MAX_AGE, body_lines, lists, read_policy, values_of

BODY = b"version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 60\n"


def test_a_valid_policy() -> None:
    policy = read_policy(BODY)
    assert policy.valid
    assert (policy.mode, policy.max_age, policy.mx) == ("enforce", 60, ("mx.example",))
    assert policy.lines == ("version: STSv1", "mode: enforce", "mx: mx.example", "max_age: 60")
    assert read_policy(BODY.replace(b"\n", b"\r\n")) == policy


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"", ["there is no version", "there is no mode", "there is no max_age"]),
        (BODY.replace(b"mx: mx.example\n", b""), ["there is no mx"]),
        (BODY.replace(b"STSv1", b"stsv1"), ["line 1: unknown version 'stsv1'"]),
        (BODY.replace(b"enforce", b"Enforce"), ["line 2: unknown mode 'Enforce'"]),
        (BODY.replace(b"60", b"1.5"), ["line 4: max_age is no number of seconds: '1.5'"]),
        (BODY + b"\nnote: a\n", ["line 5: it is no field: ''"]),
        (BODY.replace(b"mode:", b"mode :"), ["there is no mode", "line 2: it is no field: 'mode : enforce'"]),
        (
            BODY.replace(b"mx.example", b"a.example, b.example"),
            ["line 3: mx is no host name or wildcard: 'a.example, b.example'"],
        ),
        (b"\xff", ["it is not UTF-8"]),
    ],
)
def test_every_fault_has_its_line(body: bytes, faults: list[str]) -> None:
    policy = read_policy(body)
    assert not policy.valid
    assert sorted(map(str, policy.faults)) == sorted(faults)


def test_what_is_usable_of_an_invalid_policy_is_kept() -> None:
    policy = read_policy(b"mode: testing\nmx: a.example\nmx: *\nmax_age: 9999999999\n")
    assert (policy.mode, policy.max_age, policy.mx) == ("testing", LONGEST_MAX_AGE, ("a.example",))
    assert [fault.line for fault in policy.faults] == [0, 3]


def test_lines_end_in_lf_or_crlf() -> None:
    assert body_lines(b"a\r\nb\n\nc") == ("a", "b", "", "c")
    assert body_lines(b"") == ()


@pytest.mark.parametrize(("end", "line"), [(b"\r", 4), (b"\n\r", 5)])
def test_a_cr_alone_ends_no_line(end: bytes, line: int) -> None:
    body = BODY.removesuffix(b"\n") + end
    assert body_lines(body)[-1].endswith("\r")
    assert [fault.line for fault in read_policy(body).faults if fault.line] == [line]


def test_the_values_of_a_field() -> None:
    assert values_of(["mx: a", " mx :\tb ", "mx", "MX: c", "mode: none"], "mx") == ("a", "b")
    assert lists(["a.example", "*.b.example"], "X.b.example.")
    assert not lists(["a.example", "*.b.example"], "b.example")
