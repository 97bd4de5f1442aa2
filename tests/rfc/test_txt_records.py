"""What the readers of TXT records say of one that is wrong, and which URIs they find."""

from __future__ import annotations

import pytest
from mta_sts_lab.rfc.txt_records import STS_VERSION, report_record, select, sts_record


def test_one_record_is_selected_by_its_first_octets() -> None:
    good = b"v=STSv1; id=a1;"
    assert select([b"v=spf1 -all", good, b"v=STSv1 ; id=b2", b"v=STSv2; id=c3"], STS_VERSION) == good
    assert select([good, good], STS_VERSION) is None
    assert select([], STS_VERSION) is None


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (b"v=STSv1; id=a1; x=y;", None),
        (b"v=STSv1;", "there is no field"),
        (b"v=STSv1; x=y", "there is no id"),
        (b"v=STSv1; id=a-1", "no id: 'a-1'"),
        (b"v=STSv1;; id=a1", "malformed field '='"),
        (b"v=STSv1; id=a1; x=", "malformed field 'x='"),
        (b"v=STSv1; id=\xc3\xa9", "it is not ASCII"),
        (b"v=STSv2; id=a1", "not exactly one record begins with v=STSv1;"),
    ],
)
def test_a_record_that_announces_a_policy(record: bytes, fault: str | None) -> None:
    read = sts_record([record])
    assert read.valid is (fault is None)
    assert read.faults[:1] == (() if fault is None else (fault,))


@pytest.mark.parametrize(
    ("record", "uris", "usable", "faulty"),
    [
        ("rua=mailto:a@b.example", ["mailto:a@b.example"], ["mailto:a@b.example"], False),
        ("rua=mailto:a@b.example ,\tHTTPS://b/x;", ["mailto:a@b.example", "HTTPS://b/x"], None, False),
        ("rua=tel:1,https://b/x", ["tel:1", "https://b/x"], ["https://b/x"], False),
        ("rua=https://b/x; rua=https://c/y", ["https://b/x"], None, False),
        ("rua=https://b/x,", ["https://b/x"], None, True),
        ("rua=https://b/x!10m", ["https://b/x!10m"], None, True),
        ("rua = https://b/x", [], [], True),
        ("_x=y; rua=https://b/x", ["https://b/x"], None, True),
        ("x=y", [], [], True),
        ("", [], [], True),
    ],
)
def test_a_record_that_asks_for_reports(record: str, uris: list[str], usable: list[str] | None, faulty: bool) -> None:
    read = report_record([f"v=TLSRPTv1; {record}".encode()])
    assert list(read.uris) == uris
    assert list(read.usable) == (uris if usable is None else usable)
    assert bool(read.faults) is faulty
