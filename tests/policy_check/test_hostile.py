"""Whatever a file holds, the checks of a policy end with findings, and what is printed holds no control characters."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import example
from hypothesis import given as when
from hypothesis import strategies as st
from mta_sts_lab.policy_check import check_given
from mta_sts_lab.policy_check.certificates import read_certificates
from mta_sts_lab.reports.policy_check.document import document
from mta_sts_lab.reports.policy_check.terminal import pages
from mta_sts_lab.rfc.policy import read_policy
from rich.console import Console

from tests.policy_check.given import GOOD, REPORTS, STS, given

#: Pieces of policies and records, whole, cut and spoiled.
_PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b"\xef\xbb\xbf", b": ", b";", b"=", b"\x00", b"\x1b[31m", b"{mode}", b"\xff"]
    ),
    st.sampled_from(GOOD.splitlines()),
    st.sampled_from([STS, REPORTS, b"mx: *", b"mode:enforce", b"max_age: -1", b"max_age: 9999999999", b"mx:"]),
)
_OCTETS = st.lists(_PIECES, max_size=12).map(b"".join)


@when(_OCTETS, st.lists(_OCTETS, max_size=3), st.lists(st.text(max_size=30), max_size=3))
@example(b"", [b""], [""])
@example(GOOD.replace(b"\n", b"\r\n", 1), [], ["a" * 300])
@example(b"mx: a\n" * 2000, [], ["*"])
def test_no_octets_stop_it(policy: bytes, records: list[bytes], mx: list[str]) -> None:
    checked = check_given(given(policy, tuple(records), tuple(mx)))
    assert ("policy-grammar" in {one.check for one in checked.findings}) == bool(read_policy(policy).faults)
    assert json.loads(document(checked, 0))["problems"] == len(checked.problems)
    screen = Console(file=io.StringIO(), width=80, color_system=None)
    for part in pages(checked):
        screen.print(part)
    printed = screen.file.getvalue()  # type: ignore[attr-defined]
    assert all(character == "\n" or character.isprintable() for character in printed)


@when(st.binary(max_size=400), st.booleans())
def test_what_is_no_certificate_is_one_error(octets: bytes, as_pem: bool) -> None:
    text = b"-----BEGIN CERTIFICATE-----\n" + octets + b"\n-----END CERTIFICATE-----\n" if as_pem else octets
    with pytest.raises(ValueError, match="no certificate can be read" if as_pem else "neither PEM"):
        read_certificates(text)
