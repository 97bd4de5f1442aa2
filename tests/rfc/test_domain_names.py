"""Names: which are domains, which are equal, and what an mx pattern matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.rfc.domain_names import (
    a_labels,
    absolute,
    canonical,
    ipv6_without_tag,
    is_address,
    is_domain,
    is_mx_pattern,
    is_within,
    matches,
    without_brackets,
)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a.example",
        "a.example.",
        "_dmarc.a.example",
        "xn--bcher-kva.example",
        "1.2.3.example",
        "a" * 63 + ".example",
    ],
)
def test_domains(text: str) -> None:
    assert is_domain(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".a",
        "a..b",
        "a b",
        "-a.example",
        "a-.example",
        "bücher.example",
        "*.a.example",
        "a" * 64,
        "a.example\n",
        ".".join(["abcdefgh"] * 30),
    ],
)
def test_no_domains(text: str) -> None:
    assert not is_domain(text)


def test_spellings_of_one_name_are_equal() -> None:
    assert canonical("Mx1.A.example.") == "mx1.a.example"
    assert a_labels("B\u00fcro.example.") == "xn--bro-hoa.example"
    assert canonical("b\u00fcro.example") == "b\u00fcro.example", "DNS has no U-labels: it is another name"
    assert a_labels("a" * 64 + "\u00fc.example") == "a" * 64 + "\u00fc.example", "it has no A-label"


def test_a_labels_are_those_of_idna_2008() -> None:
    assert a_labels("mx.Stra\u00dfe.example") == "mx.xn--strae-oqa.example"
    assert a_labels("\u03bf\u03b4\u03cc\u03c2.example") == "xn--pxavk3b.example", "a final sigma stays one"
    assert a_labels("*._a.b\uff35\u0308ro.example") == "*._a.xn--bro-hoa.example", "letters are mapped and composed"
    assert a_labels("\u2603.b\u00fcro.example") == "\u2603.xn--bro-hoa.example", "a snowman has no A-label"


@given(st.text())
def test_any_text_has_a_form_with_a_labels(text: str) -> None:
    assert a_labels(a_labels(text)) == a_labels(text)


def test_names_below_a_domain() -> None:
    assert absolute("mx1", "a.example") == "mx1.a.example"
    assert absolute("", "a.example") == "a.example"
    assert is_within("mx1.a.example", "a.example")
    assert is_within("a.example", "a.example")
    assert not is_within("ba.example", "a.example")


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("mx1.a.example", "MX1.a.example.", True),
        ("*.a.example", "mx1.a.example", True),
        ("*.A.example", "mx1.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "x.mx1.a.example", False),
        ("*.a.example", ".a.example", False),
        ("mx1.a.example", "evilmx1.a.example", False),
        ("*.example", "evilexample", False),
        ("m*.a.example", "mx1.a.example", False),
        ("mx1.*.example", "mx1.a.example", False),
        ("*.*.example", "mx1.a.example", False),
        ("b\u00fcro.example", "xn--bro-hoa.example", False),
        ("*", "example", False),
        ("", "", False),
    ],
)
def test_a_wildcard_is_one_whole_label_at_the_left(pattern: str, host: str, expected: bool) -> None:
    assert matches(pattern, host) is expected


@pytest.mark.parametrize("text", ["mx1.a.example", "*.a.example", "*.example", "localhost", "xn--bro-hoa.example"])
def test_mx_patterns(text: str) -> None:
    assert is_mx_pattern(text)


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "*.*.example", "m*.a.example", "mx_1.example", "a.example.", "b\u00fcro.example", "a..example"],
)
def test_no_mx_patterns(text: str) -> None:
    assert not is_mx_pattern(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[198.18.0.1]", "198.18.0.1"),
        ("[IPv6:2001:DB8::1]", "2001:db8::1"),
        ("198.18.0.1", "198.18.0.1"),
        ("MX1.there.example", ""),
        ("[there.example]", ""),
        ("", ""),
    ],
)
def test_the_address_in_a_literal(text: str, address: str) -> None:
    bare = without_brackets(text)
    assert is_address(bare) is bool(address)
    assert bare == address or not address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[2001:db8::1]", "2001:db8::1"),
        ("mx.example [2001:db8:0::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[IPv6:2001:db8::1]", ""),
        ("mx.example [ipv6:2001:db8::1]", ""),
        ("[198.18.0.1]", ""),
        ("198.18.0.1", ""),
        ("mx.example", ""),
        ("[]", ""),
        ("", ""),
    ],
)
def test_ipv6_addresses_without_their_tag(text: str, address: str) -> None:
    assert ipv6_without_tag(text) == address
