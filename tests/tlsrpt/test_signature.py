"""Signatures of every kind: only one that verifies is valid, and what could not be looked at is never taken for one."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt import KeyUnavailable, grade, not_judged, parse_report, unverified
from mta_sts_lab.tlsrpt.limits import MOST_SIGNATURES
from mta_sts_lab.tlsrpt.verification import canonical_body

from .builder import KEY_NAME, REQUIREMENTS, Mail, found, key_record, keys, private_key, short

FAIL = Grade.FAIL
INVALID = {("RPT-3-11", "invalid-signature", FAIL)}
UNSIGNED = replace(Mail(), signed_by=None).octets()
COVERED = [b"From", b"To", b"Subject", b"TLS-Report-Domain", b"TLS-Report-Submitter"]
#: 9 September 2001 and a hundred seconds after.
MADE, EXPIRES = 1_000_000_000, 1_000_000_100


class _Dated(dkim.DKIM):  # type: ignore[misc]
    """Signs with tags of one's own."""

    more: tuple[tuple[bytes, bytes], ...] = ()

    def gen_header(self, fields: list[tuple[bytes, bytes]], *rest: Any, **more: Any) -> Any:
        names = {name for name, _ in self.more}
        return super().gen_header([*self.more, *(one for one in fields if one[0] not in names)], *rest, **more)


def signed(
    message: bytes = UNSIGNED,
    canonicalize: str = "relaxed/relaxed",
    covered: Sequence[bytes] = COVERED,
    **tags: str,
) -> bytes:
    signer = _Dated(message)
    signer.more = tuple((name.encode(), value.encode()) for name, value in tags.items())
    algorithm = tags.get("a", "rsa-sha256").encode()
    kinds = tuple(canonicalize.encode().split(b"/"))
    options = {"canonicalize": kinds, "include_headers": list(covered), "signature_algorithm": algorithm}
    header: bytes = signer.sign(b"reports", b"sender.example", private_key(), **options)
    return header + message


def forged(**tags: str) -> bytes:
    """A signature field that was never made with a key."""
    given = {"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "sender.example", "s": "reports"}
    given |= {"h": "from:tls-report-domain:tls-report-submitter", "bh": "AAAA", "b": "AAAA"} | tags
    return b"DKIM-Signature: " + "; ".join(f"{name}={value}" for name, value in given.items()).encode() + b"\r\n"


def _only_the_key_of_reports(name: str) -> bytes:
    if name != KEY_NAME:
        raise KeyUnavailable(name)
    return key_record()


@pytest.mark.parametrize("kinds", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize(
    "epilogue",
    [b"", b"\r\n\r\n", b"a  b \t\r\n \r\n", b" " * 300 + b"\r\n", b"x" + b" \t" * 5000 + b"y\r\n", b"\r\r\n"],
)
def test_whatever_the_body_ends_in_a_good_signature_verifies(kinds: str, epilogue: bytes) -> None:
    octets = signed(UNSIGNED + epilogue, kinds)
    assert short(found(octets, keys())) == set()
    assert unverified(parse_report(octets), keys()) == ""
    changed = octets.replace(b"A report for programs", b"A report for machines")
    assert short(found(changed, keys())) == INVALID


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"a", b"bc"]), max_size=30).map(b"".join))
def test_a_body_is_canonical_as_the_other_verifier_has_it(body: bytes) -> None:
    from dkim.canonicalization import Relaxed, Simple

    whole = body + b"\r\n"
    assert canonical_body(whole, relaxed=True) == Relaxed.canonicalize_body(whole)
    assert canonical_body(whole, relaxed=False) == Simple.canonicalize_body(whole)


PAD = b"X-Pad:" + b" " * 260 + b"x\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        re.sub(rb"bh=", b"bh=AAAA", signed(UNSIGNED + b" " * 300 + b"\r\n"), count=1),
        PAD + forged() + UNSIGNED,
        forged(t=str(MADE), x=str(EXPIRES)) + UNSIGNED,
        forged(bh="A===", b="A===") + UNSIGNED,
        forged(l="99999999") + UNSIGNED,
        forged(t="yesterday") + UNSIGNED,
        signed(t=str(EXPIRES), x=str(MADE)),
    ],
    ids=["blanks", "blanks in the header", "expired", "no base64", "too long", "no time", "expires before it was made"],
)
def test_nonsense_is_invalid_whatever_stands_around_it(octets: bytes) -> None:
    assert ("RPT-3-11", "invalid-signature", FAIL) in short(found(octets, keys()))
    assert unverified(parse_report(octets), keys()) == ""


class TestWhatCannotBeTold:
    @pytest.mark.parametrize(
        ("octets", "word"),
        [
            (forged(z="a" * 9000) + UNSIGNED, "longer than 8 KiB"),
            (forged() + forged(z="a" * 9000) + UNSIGNED, "longer than 8 KiB"),
            (forged() * MOST_SIGNATURES + signed(), "the first 5"),
        ],
        ids=["too long", "one invalid, one too long", "behind too many"],
    )
    def test_it_is_said_and_no_finding(self, octets: bytes, word: str) -> None:
        parsed = parse_report(octets)
        assert grade(parsed, REQUIREMENTS, keys()) == ()
        assert word in unverified(parsed, keys())
        assert any(
            row.obligation == "RPT-3-11" and word in row.reason for row in not_judged(parsed, REQUIREMENTS, keys())
        )

    def test_a_key_that_nobody_knows(self) -> None:
        def nobody(name: str) -> bytes | None:
            raise KeyUnavailable(name)

        assert "is not known" in unverified(parse_report(signed()), nobody)

    def test_a_valid_signature_beside_it_is_enough(self) -> None:
        octets = forged(z="a" * 9000) + forged() + signed()
        assert found(octets, keys()) == ()
        assert unverified(parse_report(octets), keys()) == ""


class TestReportFields:
    UNCOVERED = {("RPT-5.3-08", "report-fields-not-signed", Grade.WEAK)}
    BARE = signed(covered=[b"From", b"Date"])
    FIELD, WHOLE, OBSOLETE = (one.removesuffix(UNSIGNED) for one in (BARE, signed(), signed(a="rsa-sha1")))

    def test_a_signature_that_does_not_verify_covers_nothing(self) -> None:
        (one,) = found(forged() + self.BARE, keys())
        assert short((one,)) == self.UNCOVERED
        assert "DKIM-Signature 2" in one.where
        assert short(found(self.OBSOLETE + self.BARE, keys())) == self.UNCOVERED

    def test_one_that_may_verify_is_enough(self) -> None:
        assert found(forged(z="a" * 9000) + self.BARE, keys()) == ()
        assert found(forged(s="other") + self.BARE, _only_the_key_of_reports) == ()
        assert found(self.FIELD * MOST_SIGNATURES + forged() + UNSIGNED, keys()) == ()
        assert found(forged() + self.WHOLE + self.BARE, keys()) == ()

    def test_without_a_key_any_is_taken_for_valid_and_that_is_said(self) -> None:
        octets = forged() + self.BARE
        assert found(octets) == ()
        (row,) = [one for one in not_judged(parse_report(octets), REQUIREMENTS) if one.obligation == "RPT-5.3-08"]
        assert row.in_part
        assert "was not verified" in row.reason

    def test_it_is_said_once(self) -> None:
        assert short(found(self.BARE, keys())) == self.UNCOVERED
        assert len(found(self.BARE, keys())) == 1
        assert short(found(forged() + UNSIGNED, keys())) == INVALID


class TestExpiry:
    OCTETS = signed(t=str(MADE), x=str(EXPIRES))

    def test_it_is_held_against_the_time_of_arrival(self) -> None:
        parsed = parse_report(self.OCTETS)
        assert grade(parsed, REQUIREMENTS, keys(), EXPIRES - 1.0) == ()
        late = grade(parsed, REQUIREMENTS, keys(), EXPIRES + 60.0)
        assert short(late) == INVALID
        assert "60 s before" in late[0].observed

    def test_where_that_is_not_known_it_is_not_judged(self) -> None:
        parsed = parse_report(self.OCTETS)
        assert grade(parsed, REQUIREMENTS, keys()) == ()
        rows = {row.obligation: row.reason for row in not_judged(parsed, REQUIREMENTS, keys())}
        assert "had expired" in rows["RPT-3-11"]

    def test_a_touched_body_fails_all_the_same(self) -> None:
        octets = self.OCTETS.replace(b"A report for programs", b"A report for machines")
        assert short(found(octets, keys())) == INVALID

    def test_one_without_end_never_expires(self) -> None:
        parsed = parse_report(signed())
        assert grade(parsed, REQUIREMENTS, keys(), time.time() + 1e9) == ()


class TestAlgorithms:
    def test_sha1_is_of_yesterday_and_that_shows_without_a_key(self) -> None:
        octets = signed(a="rsa-sha1")
        expected = {("RPT-3-11", "obsolete-algorithm", FAIL)}
        assert short(found(octets)) == expected
        assert short(found(octets, keys())) == expected

    def test_beside_one_of_today_it_does_no_harm(self) -> None:
        assert found(forged(a="rsa-sha1") + signed(), keys()) == ()

    @pytest.mark.parametrize(("tag", "fine"), [("h=sha1; ", False), ("h=sha1:sha256; ", True), ("h=sha256; ", True)])
    def test_a_key_is_for_the_digests_that_it_names(self, tag: str, fine: bool) -> None:
        assert short(found(signed(), keys({KEY_NAME: key_record(tag)}))) == (set() if fine else INVALID)

    def test_a_key_that_is_tried_out_signs_nothing(self) -> None:
        """RFC 6376, section 3.6.1: such mail must not be treated differently from unsigned mail."""
        assert short(found(signed(), keys({KEY_NAME: key_record("t=y; ")}))) == INVALID
        assert short(found(signed(), keys({KEY_NAME: key_record("t=s : y; ")}))) == INVALID

    @pytest.mark.parametrize(("user", "fine"), [("@sender.example", True), ("@below.sender.example", False)])
    def test_a_key_for_one_domain_is_for_none_below(self, user: str, fine: bool) -> None:
        strict = keys({KEY_NAME: key_record("t=s; ")})
        assert short(found(signed(i=user), strict)) == (set() if fine else INVALID)
        assert short(found(signed(), strict)) == set()
        assert short(found(signed(i=user), keys())) == set()

    def test_a_key_of_another_kind_is_none(self) -> None:
        record = key_record().replace(b"k=rsa", b"k=ed25519")
        assert short(found(signed(), keys({KEY_NAME: record}))) == INVALID
