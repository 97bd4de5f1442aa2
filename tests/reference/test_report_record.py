from __future__ import annotations

import pytest
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report_record import Mailbox, WebPlace, report_addresses

GOOD = b"v=TLSRPTv1; rua=mailto:a@b.example"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([b"v=TLSRPTv1; rua=https://a.example/x"], ["https://a.example/x"]),
        ([b"v=TLSRPTv1;rua=mailto:a@b.example , https://a.example/x ;x=y"], ["mailto:a@b.example", "https://a.example/x"]),
        ([b"v=spf1 -all", b"v=TLSRPTv1; ext=1; rua=mailto:a@b.example;"], ["mailto:a@b.example"]),
        ([b"v=TLSRPTv1;\t rua=mailto:a@b.example\t;"], ["mailto:a@b.example"]),
        ([GOOD, GOOD], []),
        ([b"v=TLSRPTv1 ; rua=mailto:a@b.example", GOOD], ["mailto:a@b.example"]),
        ([b"v=TLSRPTv2; rua=mailto:a@b.example"], []),
        ([b"v=tlsrptv1; rua=mailto:a@b.example"], []),
        ([b"rua=mailto:a@b.example; v=TLSRPTv1;"], []),
        ([b"v=TLSRPTv1;"], []),
        ([b"v=TLSRPTv1; rua="], []),
        ([b"v=TLSRPTv1; rua=\xff"], []),
        ([], []),
    ],
)  # fmt: skip
def test_exactly_one_record_counts(records: list[bytes], expected: list[str]) -> None:
    assert [str(one) for one in report_addresses(records)] == expected


@pytest.mark.parametrize(
    ("rua", "expected"),
    [
        ("http://a.example/x,ftp://a.example,tel:1,MAILTO:a@B.example", [Mailbox("a@b.example")]),
        ("mailto:a@b.example,mailto:a@b.example", [Mailbox("a@b.example")]),
        ("mailto:a%2Cb%21c%3Bd+e@b.example", [Mailbox('"a,b!c;d+e"@b.example')]),
        ("mailto:a%21b@b.example?subject=x%0D%0Ay", [Mailbox("a!b@b.example")]),
        ("mailto:a@b.example!10m", []),
        ("mailto:a%0D%0Ab@b.example", []),
        ("mailto:a%zz@b.example", []),
        ("mailto:a%ff@b.example", []),
        ("mailto:@b.example,mailto:a@,mailto:a,mailto:a@-b.example", []),
        ("https://a.example/p%2Ca%21t%3Bh?q=%2F", [WebPlace("https://a.example/p%2Ca%21t%3Bh?q=%2F")]),
        ("https://198.18.0.1/,https://[::1]/,https:///,https://a.example:x/", []),
        ("not a uri at all", []),
    ],
)
def test_addresses(rua: str, expected: list[object]) -> None:
    assert list(report_addresses([f"v=TLSRPTv1; rua={rua}".encode()])) == expected


def test_a_record_cannot_make_the_sender_run_everywhere() -> None:
    rua = ",".join(f"mailto:a{number}@b.example" for number in range(50))
    assert len(report_addresses([f"v=TLSRPTv1; rua={rua}".encode()])) == 10


@pytest.mark.parametrize(
    ("flaw", "records", "expected"),
    [
        ("reports_to_two_records", [GOOD, b"v=TLSRPTv1; rua=mailto:c@b.example"], "a@b.example"),
        ("accepts_other_report_version", [b"v=TLSRPTv2; rua=mailto:a@b.example"], "a@b.example"),
        ("counts_records_of_other_kinds", [b"v=spf1", GOOD], None),
        ("refuses_unknown_report_fields", [GOOD + b"; x=y"], None),
        ("keeps_percent_encoding", [b"v=TLSRPTv1; rua=mailto:a%21@b.example"], "a%21@b.example"),
        ("decodes_report_record", [b"v=TLSRPTv1; rua=mailto:a%2Cb@b.example"], None),
    ],
)
def test_flaws_of_the_record(flaw: str, records: list[bytes], expected: str | None) -> None:
    found = report_addresses(records, Flaws(**{flaw: True}))
    assert found == (() if expected is None else (Mailbox(expected),))
    assert report_addresses(records) != found
    assert report_addresses([GOOD], Flaws(**{flaw: True})) == (Mailbox("a@b.example"),)
