"""Report mail and its signature: the message as an independent reader sees it, correct and with each flaw."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim
import pytest
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report import build_report
from mta_sts_lab.reference.report_counts import CountedDay
from mta_sts_lab.reference.report_mail import ReportSigner, build_report_mail

from tests.reference.reports import DAY_BEGINS, a_day, dkim_key

NOW = DAY_BEGINS + 90000.0


def signer(directory: Path, key: str | None = None, **flaws: bool) -> ReportSigner:
    pem = dkim_key() if key is None else key
    return ReportSigner("sender.example", "lab", directory / "dkim-key.pem", pem, Flaws(**flaws))


def built(day: CountedDay | None = None, **flaws: bool) -> bytes:
    report = build_report(day or a_day(), "sender.example")
    return build_report_mail(report, "tls@box.example", "mta.sender.example", NOW, Flaws(**flaws))


def read(octets: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    return parsed


def verified(octets: bytes, records: dict[str, str], services: tuple[bool, ...] = (False, True)) -> bool:
    """Whether a signature holds, as ordinary mail and as a TLS report."""

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        return records.get(name.decode().rstrip("."), "").encode()

    return all(dkim.verify(octets, dnsfunc=look_up, tlsrpt=service) for service in services)


def tags(octets: bytes) -> dict[str, str]:
    value = re.sub(r"\s+", "", str(read(octets)["DKIM-Signature"]))
    return dict(one.split("=", 1) for one in value.rstrip(";").split(";"))


def test_the_mail_is_a_tls_report() -> None:
    octets = built()
    mail = read(octets)
    name = f"sender.example!there.example!{DAY_BEGINS}!{DAY_BEGINS + 86399}!0123456789abcdef.json.gz"
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert mail["From"] == "tls-reports@sender.example"
    assert mail["To"] == "tls@box.example"
    assert mail["Subject"] == (
        "Report Domain: there.example Submitter: sender.example Report-ID: <0123456789abcdef@sender.example>"
    )
    assert mail["TLS-Report-Domain"] == "there.example"
    assert mail["TLS-Report-Submitter"] == "sender.example"
    assert mail["TLS-Required"] == "No"
    assert mail["Date"] == "Mon, 02 Mar 2026 01:00:00 -0000"
    human, machine = mail.iter_parts()
    assert human.get_content_type() == "text/plain"
    assert "there.example" in human.get_content()
    assert machine.get_content_type() == "application/tlsrpt+gzip"
    assert machine.get_content_disposition() == "attachment"
    assert machine.get_filename() == name
    assert json.loads(gzip.decompress(machine.get_content()))["report-id"] == "0123456789abcdef@sender.example"
    assert octets.isascii()
    assert b"\n" not in octets.replace(b"\r\n", b"")


def test_long_names_stay_whole() -> None:
    day = a_day()
    day.domain = ".".join(["a" * 63] * 3 + ["b" * 50, "example"])
    octets = built(day)
    assert max(map(len, octets.split(b"\r\n"))) < 998
    assert f"\r\nTLS-Report-Domain: {day.domain}\r\n".encode() in octets
    assert f'filename="sender.example!{day.domain}!'.encode() in octets
    assert f"\r\nSubject: Report Domain: {day.domain} Submitter: sender.example Report-ID: <".encode() in octets


def test_the_signature_holds_and_covers_the_report_fields(tmp_path: Path) -> None:
    signing = signer(tmp_path)
    octets = signing.signed(built())
    records = signing.records()
    assert list(records) == ["lab._domainkey.sender.example"]
    assert verified(octets, records)
    assert not verified(octets.replace(b"TLS-Report-Domain: there", b"TLS-Report-Domain: where"), records)
    assert not verified(octets[:-60] + b"x" + octets[-59:], records)
    signed = tags(octets)
    assert (signed["d"], signed["s"], signed["a"], signed["c"]) == (
        "sender.example",
        "lab",
        "rsa-sha256",
        "relaxed/relaxed",
    )
    assert "l" not in signed
    covered = {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "TLS-Report-Domain",
        "TLS-Report-Submitter",
        "TLS-Required",
    }
    assert covered <= set(signed["h"].split(":")) or {one.lower() for one in covered} <= set(signed["h"].split(":"))


def test_a_key_is_made_once_for_a_directory(tmp_path: Path) -> None:
    first = signer(tmp_path, key="")
    records = first.records()
    octets = first.signed(built())
    assert signer(tmp_path, key="").records() == records
    assert verified(octets, records)
    assert records["lab._domainkey.sender.example"].startswith("v=DKIM1; k=rsa; p=MIIBIjANBgkq")


FIELD_FLAWS: dict[str, dict[str, Any]] = {
    "mails_as_mixed": {"Content-Type": 'multipart/mixed; boundary="=_reference_sender_tls_report"'},
    "names_other_submitter": {"TLS-Report-Submitter": "mta.sender.example"},
    "leaves_out_report_fields": {"TLS-Report-Domain": None, "TLS-Report-Submitter": None},
    "writes_free_subject": {"Subject": "TLS report for there.example"},
}


@pytest.mark.parametrize("flaw", FIELD_FLAWS)
def test_a_flaw_of_the_header_changes_just_that(flaw: str, tmp_path: Path) -> None:
    good, bad = read(built()), read(built(**{flaw: True}))
    expected = dict(good.items()) | FIELD_FLAWS[flaw]
    assert dict(bad.items()) == {name: value for name, value in expected.items() if value is not None}
    assert [part.as_bytes() for part in bad.iter_parts()] == [part.as_bytes() for part in good.iter_parts()]
    signing = signer(tmp_path)
    assert verified(signing.signed(built(**{flaw: True})), signing.records())


@pytest.mark.parametrize(
    ("flaw", "good", "bad"),
    [
        ("mails_wrong_media_type", b"Content-Type: application/tlsrpt+gzip", b"Content-Type: application/gzip"),
        (
            "names_file_badly",
            f"sender.example!there.example!{DAY_BEGINS}!{DAY_BEGINS + 86399}!0123456789abcdef.json.gz".encode(),
            b"tls-report.json.gz",
        ),
    ],
)
def test_a_flaw_of_the_part_changes_just_that(flaw: str, good: bytes, bad: bytes) -> None:
    assert good in built()
    assert built(**{flaw: True}) == built().replace(good, bad)


def test_flaw_unsigned(tmp_path: Path) -> None:
    assert signer(tmp_path, sends_unsigned_reports=True).signed(built()) == built()


def test_flaw_signs_with_length(tmp_path: Path) -> None:
    signing = signer(tmp_path, signs_with_length=True)
    octets = signing.signed(built())
    assert int(tags(octets)["l"]) == len(built().partition(b"\r\n\r\n")[2])
    assert verified(octets, signing.records())
    assert verified(octets + b"more\r\n", signing.records(), services=(False,))


def test_flaw_signs_beginning_of_body(tmp_path: Path) -> None:
    signing = signer(tmp_path, signs_beginning_of_body=True)
    octets = signing.signed(built())
    assert int(tags(octets)["l"]) < built().partition(b"\r\n\r\n")[2].index(b"application/tlsrpt+gzip")
    assert verified(octets, signing.records(), services=(False,))
    assert verified(octets.replace(b"H4sI", b"AAAA"), signing.records(), services=(False,))


def test_flaw_signs_without_from(tmp_path: Path) -> None:
    signing = signer(tmp_path, signs_without_from=True)
    octets = signing.signed(built())
    assert tags(octets)["h"].lower().split(":")[0].strip() == "to"
    assert not verified(octets, signing.records()), "a verifier refuses what does not cover From"


def test_flaw_signs_without_report_fields(tmp_path: Path) -> None:
    signing = signer(tmp_path, signs_without_report_fields=True)
    octets = signing.signed(built())
    assert "tls-report" not in tags(octets)["h"].lower()
    assert verified(octets, signing.records())
