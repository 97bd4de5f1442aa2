"""The lab's grammars against the reference sender's own parsers: two independent readings of the same RFC text.

What they disagree on is a bug in one of them.
"""

from __future__ import annotations

import string
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import load_catalogue
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.world import World
from mta_sts_lab.reference import resolver
from mta_sts_lab.reference.dane import usable_records
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.reference.policy import Policy, PolicyInvalid, PolicyRecord, matches, parse_policy, select_record
from mta_sts_lab.reference.report_record import Mailbox, report_addresses
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.rfc import domain_names
from mta_sts_lab.rfc.domain_names import canonical
from mta_sts_lab.rfc.policy import lists, read_policy
from mta_sts_lab.rfc.published import place_of, places_for, policy_id, served_policy
from mta_sts_lab.rfc.tlsa import TlsaRecord, strongest
from mta_sts_lab.rfc.txt_records import report_record, sts_record
from mta_sts_lab.shipped_files import shipped_files

DOMAIN = "c0ffee.example"


def agree_on_policy(body: bytes) -> bool:
    """Compare both readings of a policy body; return whether it is valid."""
    ours = read_policy(body)
    theirs: Policy | None
    try:
        theirs = parse_policy(body)
    except PolicyInvalid:
        theirs = None
    assert ours.valid is (theirs is not None), ours.faults
    if theirs is not None:
        assert (ours.mode, ours.max_age, ours.mx, ours.lines) == (
            theirs.mode,
            theirs.max_age,
            theirs.mx,
            theirs.lines,
        )
    return ours.valid


def agree_on_sts_records(records: list[bytes]) -> bool:
    """Compare both readings of the TXT records at `_mta-sts`; return whether a policy is announced."""
    ours, theirs = sts_record(records), select_record(records)
    assert ours.valid is isinstance(theirs, PolicyRecord), ours.faults
    if isinstance(theirs, PolicyRecord):
        assert ours.id == theirs.id
    return ours.valid


def agree_on_report_records(records: list[bytes]) -> int:
    """Compare both readings of the TXT records at `_smtp._tls`; return the number of places.

    The reference sender leaves out what it cannot reach, such as an address literal, and stops after ten.
    """
    ours = list(dict.fromkeys(place_of(uri) for uri in report_record(records).usable))
    theirs = [
        place_of(_as_uri(str(one)) if isinstance(one, Mailbox) else str(one)) for one in report_addresses(records)
    ]
    assert [place for place in ours if place in theirs] == list(dict.fromkeys(theirs))
    return len(theirs)


def _as_uri(mailbox: str) -> str:
    """Return a mailto URI for a mailbox as it stands in RCPT TO."""
    local, _, domain = mailbox.removeprefix("mailto:").rpartition("@")
    if local.startswith('"'):
        local = local[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return f"mailto:{local.replace('%', '%25').replace('?', '%3F')}@{domain}"


# ---------------------------------------------------------------------------------------------------------------------
# Whatever hypothesis makes

LABELS = st.sampled_from(["mx1", "a", "B-c", "xn--bro-hoa", "b\u00fcro", "_x", "-", "*", "", "a" * 63, "a" * 64])
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
PATTERNS = NAMES | NAMES.map("*.{}".format)
BLANKS = st.sampled_from(["", " ", "\t", " \t "])
FIELDS = st.one_of(
    st.sampled_from(["version", "mode", "max_age", "mx", "Mode", "note", "_x", "a" * 32, "a" * 33]),
    st.text(string.printable, max_size=4),
)
VALUES = st.one_of(
    st.sampled_from(["STSv1", "STSv2", "enforce", "testing", "none", "None", "0", "60", "9999999999", "10000000000"]),
    st.sampled_from(["-1", "1.5", "\u0666", "a b", "\u00e9 x", "a\x00b", "a\x7fb", "a\x85b", "mx.example, a.example"]),
    PATTERNS,
    st.text(max_size=6),
)
LINES = st.one_of(
    st.tuples(BLANKS, FIELDS, BLANKS, st.sampled_from([":", ": ", "=", ""]), VALUES, BLANKS).map("".join),
    st.sampled_from(["version: STSv1", "mode: enforce", "mode: none", "max_age: 60", "mx: mx1.example", ""]),
)
GOOD_LINES = st.permutations(["version: STSv1", "mode: enforce", "max_age: 60", "mx: mx1.example"])
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies near the grammar: most or all of the required lines, others between them, and odd line ends."""
    lines = list(draw(GOOD_LINES))
    for line in draw(st.lists(LINES, max_size=3)):
        lines.insert(draw(st.integers(0, len(lines))), line)
    if draw(st.booleans()):
        lines.pop(draw(st.integers(0, len(lines) - 1)))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = "".join(line + (draw(ENDS) if draw(st.integers(0, 9)) == 9 else end) for line in lines)
    return (
        draw(st.sampled_from(["", "", "", "\ufeff"])).encode()
        + text.removesuffix(draw(st.sampled_from(["", end]))).encode()
    )


@given(bodies() | st.binary(max_size=80))
def test_policy_bodies(body: bytes) -> None:
    agree_on_policy(body)


TXT_FIELDS = st.one_of(
    st.sampled_from(
        ["id=a1", "id=b2", "id=", "id", "ID=a1", "id = a1", "id=a-1", "id=" + "a" * 33, "", "x=y", "x=a b"]
    ),
    st.sampled_from(["_x=a", "x=", "=x", "x=a=b", "x=\x7f", "\u00e9=a", "a" * 33 + "=b", "x.-_1=!~"]),
    st.text(string.printable, max_size=5),
)
DELIMITERS = st.sampled_from([";", "; ", " ;", "\t; \t"])


def records(version: str, fields: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """TXT records near the grammar."""
    others = st.sampled_from(["v=spf1 -all", version.lower(), f" {version}", version[:-1] + "2", ""])
    versions = st.just(version) | st.just(version) | others
    rest = st.lists(st.tuples(DELIMITERS, fields).map("".join), max_size=4).map("".join)
    return st.tuples(versions, rest, st.just("") | DELIMITERS).map(lambda parts: "".join(parts).encode())


@given(st.lists(records("v=STSv1", TXT_FIELDS), max_size=3))
def test_policy_records(given_records: list[bytes]) -> None:
    agree_on_sts_records(given_records)


URIS = st.one_of(
    st.sampled_from(
        ["https://a.example/x", "HTTPS://A.example/y?z=%2C", "mailto:a@b.example", "MAILTO:a%2Cb@B.example"]
    ),
    st.sampled_from(["mailto:a%21b@b.example?subject=x", "http://a.example/x", "tel:1", "", "https://[::1]/", "x"]),
    st.sampled_from(["mailto:a%25b@b.example", "mailto:a%zz@b.example", "mailto:@b.example", "mailto:a b@b.example"]),
)
RUAS = st.tuples(st.sampled_from(["rua=", "rua=", "rua = ", "RUA="]), st.lists(URIS, max_size=4).map(" ,".join))


@given(st.lists(records("v=TLSRPTv1", RUAS.map("".join) | TXT_FIELDS), max_size=3))
def test_report_records(given_records: list[bytes]) -> None:
    agree_on_report_records(given_records)


@given(PATTERNS, NAMES | NAMES.map(str.upper) | NAMES.map("{}.".format))
def test_mx_patterns(pattern: str, host: str) -> None:
    assert domain_names.matches(pattern, host) is matches(pattern, host)


@given(NAMES, st.sampled_from(["mx1", "a.b", ""]))
def test_mx_patterns_that_are_near(parent: str, below: str) -> None:
    host = f"{below}.{parent}" if below else parent
    for pattern in (host, f"*.{parent}", parent, f"*.{host}"):
        assert domain_names.matches(pattern, host) is matches(pattern, host)


# ---------------------------------------------------------------------------------------------------------------------
# Whatever the catalogue publishes


@cache
def worlds() -> list[tuple[Case, World]]:
    """Return the world of every step of every case that is shipped."""
    catalogue = load_catalogue(shipped_files() / "scenarios", ATTACK_FORMS, load_requirements(), FLAWS)
    return [(case, step.world) for case in catalogue.cases.values() for step in case.steps]


def test_all_bodies_of_the_catalogue() -> None:
    valid = {
        body: agree_on_policy(body) for case, world in worlds() for body in [served_policy(world, case.mode, DOMAIN)]
    }
    assert {True, False} <= set(valid.values())


def test_all_policy_records_of_the_catalogue() -> None:
    published = {
        tuple(text.replace("{id}", policy_id(world.policy, DOMAIN)).encode() for text in world.dns.sts_records)
        for _, world in worlds()
    }
    assert {agree_on_sts_records(list(records)) for records in published} == {True, False}


def test_all_report_records_of_the_catalogue() -> None:
    published = {
        tuple(places_for(DOMAIN, world.reports).fill_in(text).encode() for text in world.reports.records)
        for _, world in worlds()
    }
    assert {0, 1, 2} <= {agree_on_report_records(list(records)) for records in published}


@pytest.mark.parametrize("host", ["mx1", "mx2", "a.mail", "mail", "", "x"])
def test_all_patterns_of_the_catalogue(host: str) -> None:
    name = domain_names.absolute(host, DOMAIN)
    for case, world in worlds():
        policy = read_policy(served_policy(world, case.mode, DOMAIN))
        assert lists(policy.mx, name) is any(matches(pattern, canonical(name)) for pattern in policy.mx)


_TLSA_FIELDS = st.tuples(
    st.integers(0, 4), st.integers(0, 2), st.integers(0, 3), st.sampled_from([0, 1, 31, 32, 33, 64]).map(bytes)
)


@given(st.lists(_TLSA_FIELDS, max_size=6))
def test_tlsa_records(fields: list[tuple[int, int, int, bytes]]) -> None:
    ours = strongest(TlsaRecord(*one) for one in fields)
    theirs = usable_records([resolver.TlsaRecord(*one) for one in fields])
    assert list(map(str, ours)) == list(map(str, theirs))
