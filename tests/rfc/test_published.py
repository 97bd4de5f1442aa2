"""What a scenario publishes: its policy and id, its places for reports, and which of them a record names."""

from __future__ import annotations

import re

import pytest
from mta_sts_lab.model.world import REPORT_PLACES, Policy, Reports
from mta_sts_lab.rfc.policy import read_policy
from mta_sts_lab.rfc.published import ReportPlaces, place_of, policy_body, policy_id, posted_name, wanted_places

DOMAIN = "c0ffee.example"
HTTPS = "https://reports.lab.example/v1/c0ffee"
MAIL = "tls-reports@c0ffee.reports.lab.example"


def wanted(*records: str, **settings: str) -> tuple[str, ...]:
    return wanted_places(DOMAIN, Reports(records=records, **settings))  # type: ignore[arg-type]


def test_every_word_is_filled_in_and_no_other() -> None:
    filled = ReportPlaces(DOMAIN).fill_in(" ".join(f"{{{word}}}" for word in REPORT_PLACES) + " {x}")
    assert filled == f"{HTTPS} mailto:{MAIL} mailto:tls-reports@{DOMAIN} c0ffee.reports.lab.example {{x}}"


@pytest.mark.parametrize(
    ("records", "places"),
    [
        (("v=TLSRPTv1; rua={https}",), (HTTPS,)),
        (("v=TLSRPTv1;rua=mailto:x@Y.example , {https};",), ("x@y.example", HTTPS)),
        (("v=TLSRPTv1; new=1; rua={mailto}; newer=2",), (MAIL,)),
        (("v=spf1 -all", "v=TLSRPTv1; rua={https}"), (HTTPS,)),
        (("v=TLSRPTv1; rua={https}/a%2Cb%21c",), (f"{HTTPS}/a,b!c",)),
        (("v=TLSRPTv1; rua=mailto:a%2Cb@{report_domain}?subject=x",), ("a,b@c0ffee.reports.lab.example",)),
        ((), ()),
        (("v=TLSRPTv2; rua={https}",), ()),
        (("v=tlsrptv1; rua={https}",), ()),
        (("rua={https}; v=TLSRPTv1",), ()),
        (("v=TLSRPTv1; rua={https}", "v=TLSRPTv1; rua={mailto}"), ()),
        (("v=TLSRPTv1;",), ()),
        (("v=TLSRPTv1; rua=ftp://x.example/y",), ()),
    ],
)
def test_what_a_record_comes_to(records: tuple[str, ...], places: tuple[str, ...]) -> None:
    assert wanted(*records) == places


def test_equal_places_are_equal_whatever_their_spelling() -> None:
    assert place_of("https://Reports.lab.example/v1/a%2Cb") == place_of("https://reports.lab.example/v1/a,b")
    assert place_of("mailto:a%21b@X.example") == place_of("mailto:a!b@x.example")
    assert place_of("mailto:A@x.example") != place_of("mailto:a@x.example")


@pytest.mark.parametrize(
    "uri", ["https://[/v1/a", "https://x]/", "https://[::1/", "https://[v6]/", "https://a\u2100b/"]
)
def test_what_only_looks_like_a_url_is_a_place_of_its_own(uri: str) -> None:
    assert place_of(uri) == uri


def test_a_bad_certificate_has_a_host_of_its_own() -> None:
    assert wanted("v=TLSRPTv1; rua={https}", certificate="expired") == ("https://c0ffee.reports.lab.example/v1/c0ffee",)


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("reports.lab.example", "/v1/c0ffee", "c0ffee.reports.lab.example"),
        ("Reports.lab.example", "/v1/C0FFEE/x", "c0ffee.reports.lab.example"),
        ("c0ffee.reports.lab.example", "/anything", "c0ffee.reports.lab.example"),
        ("reports.lab.example", "/v1/", ""),
        ("reports.lab.example", "/c0ffee", ""),
    ],
)
def test_a_request_names_a_case(host: str, path: str, name: str) -> None:
    assert posted_name(host, path) == name


def test_the_canonical_policy() -> None:
    assert policy_body(Policy(), "enforce", ["mx1.c0ffee.example"]) == (
        b"version: STSv1\r\nmode: enforce\r\nmx: mx1.c0ffee.example\r\nmax_age: 604800\r\n"
    )


def test_every_pattern_has_its_own_line() -> None:
    body = policy_body(Policy(max_age=86400), "testing", ["mx1.a.example", "*.mail.a.example"])
    assert body.decode().split("\r\n") == [
        "version: STSv1",
        "mode: testing",
        "mx: mx1.a.example",
        "mx: *.mail.a.example",
        "max_age: 86400",
        "",
    ]


def test_bodies_that_are_wrong_on_purpose() -> None:
    lines = ("mode: {mode}", "x-{brace}: kept", "mx : {mx}", "max_age: -{max_age}", "", "grüße: 1")
    assert policy_body(Policy(lines=lines), "none", ["a", "b"]).decode() == (
        "mode: none\r\nx-{brace}: kept\r\nmx : a\r\nmx : b\r\nmax_age: -604800\r\n\r\ngrüße: 1\r\n"
    )


def test_an_id_changes_with_the_revision_and_with_nothing_else() -> None:
    first = policy_id(Policy(), "c0ffee.example")
    assert first.isalnum()
    assert first.isascii()
    assert 1 <= len(first) <= 32
    assert policy_id(Policy(mode="none", max_age=1, mx=("x",)), "c0ffee.example") == first
    assert policy_id(Policy(revision=2), "c0ffee.example") != first
    assert policy_id(Policy(), "beef.example") != first


def test_the_last_line_may_have_no_line_end() -> None:
    ended = policy_body(Policy(), "enforce", ["mx1.d.example"])
    assert ended.endswith(b"\r\n")
    assert policy_body(Policy(last_line_end=False), "enforce", ["mx1.d.example"]) == ended.removesuffix(b"\r\n")


@pytest.mark.parametrize("octets", [90, 91, 150, 151, 4096, 65536, 66560])
def test_a_body_is_padded_with_fields_that_nobody_knows(octets: int) -> None:
    plain, padded = (policy_body(Policy(padded_to=one), "enforce", ["mx1.c0ffee.example"]) for one in (0, octets))
    assert (len(padded), padded.startswith(plain)) == (octets, True)
    added = padded.removeprefix(plain).decode().split("\r\n")
    assert added.pop() == ""
    assert all(re.fullmatch("note: x+", line) for line in added)
    assert read_policy(padded).mx == read_policy(plain).mx
