"""Addresses of mailboxes and URIs: which text is one."""

from __future__ import annotations

import pytest
from mta_sts_lab.rfc.addresses import is_addr_spec, is_uri


@pytest.mark.parametrize("text", ["a@b", "a.b+c@d.example", '"a b"@c.example', '"a\\"b"@c.example', "a@[192.0.2.1]"])
def test_addr_specs(text: str) -> None:
    assert is_addr_spec(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b",
        "a@",
        "a b@c",
        "<a@b>",
        "A <a@b>",
        "a@b, c@d",
        "a.@b",
        "ä@b.example",
        "a@bücher.example",
        "mailto:a@b\n",
    ],
)
def test_no_addr_specs(text: str) -> None:
    assert not is_addr_spec(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a/b?c=d#e", True),
        ("urn:a:b", True),
        ("a/b", False),
        ("https://a/b c", False),
        ("https://a/%zz", False),
        ("", False),
        ("https://ä", False),
    ],
)
def test_uris(text: str, expected: bool) -> None:
    assert is_uri(text) is expected
