"""Mailed and posted reports: each rule on the container fires for the smallest change, and only that rule."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt import Kind, grade, not_judged, parse_report

from .builder import (
    BEGIN,
    END,
    KEY_NAME,
    REQUIREMENTS,
    SUBMITTER,
    Mail,
    changed,
    found,
    good,
    key_record,
    keys,
    short,
    text,
)

FAIL, WEAK, INFO = Grade.FAIL, Grade.WEAK, Grade.INFO
NAME = f"{SUBMITTER}!a.example!{BEGIN}!{END}"

GOOD = Mail()

CASES: list[tuple[str, Mail, set[tuple[str, str, Grade]]]] = [
    (
        "plain text",
        replace(GOOD, packed=False, data_type="application/tlsrpt+json", file_name=f"{NAME}.json"),
        {("RPT-5.2-01", "not-compressed", WEAK)},
    ),
    ("wrong media type", replace(GOOD, data_type="application/gzip"), {("RPT-5.3-04", "media-type", WEAK)}),
    (
        "media type of plain text",
        replace(GOOD, data_type="application/tlsrpt+json"),
        {("RPT-5.3-04", "media-type", WEAK)},
    ),
    ("multipart/mixed", replace(GOOD, top_type="multipart/mixed"), {("RPT-5.3-02", "not-multipart-report", FAIL)}),
    ("no report-type", replace(GOOD, report_type=None), {("RPT-5.3-02", "no-report-type", FAIL)}),
    (
        "another report-type",
        replace(GOOD, report_type="delivery-status"),
        {("MPR-3-02", "another-report-type", FAIL)},
    ),
    (
        "a single part",
        replace(GOOD, parts="alone"),
        {("RPT-5.3-02", "not-multipart-report", FAIL), ("RPT-5.3-03", "single-part", FAIL)},
    ),
    (
        "only the data",
        replace(GOOD, parts="data"),
        {("RPT-5.3-03", "order-of-parts", FAIL), ("MPR-3-01", "number-of-parts", FAIL)},
    ),
    ("data first", replace(GOOD, parts="data text"), {("RPT-5.3-03", "order-of-parts", FAIL)}),
    ("a third part", replace(GOOD, parts="text data more"), {("RPT-5.3-03", "third-part", WEAK)}),
    (
        "four parts",
        replace(GOOD, parts="text data more more"),
        {("RPT-5.3-03", "third-part", WEAK), ("MPR-3-01", "number-of-parts", FAIL)},
    ),
    ("two reports", replace(GOOD, parts="text data data"), {("RPT-5.3-03", "several-reports", FAIL)}),
    ("not closed", replace(GOOD, closed=False), {("MPR-3-01", "not-closed", FAIL)}),
    (
        "no TLS-Report-Domain",
        replace(GOOD, report_domain=None),
        {("RPT-5.3-05", "missing", FAIL), ("RPT-5.3-08", "report-fields-not-signed", WEAK)},
    ),
    (
        "no TLS-Report-Submitter",
        replace(GOOD, submitter=None),
        {("RPT-5.3-05", "missing", FAIL), ("RPT-5.3-08", "report-fields-not-signed", WEAK)},
    ),
    (
        "two domains",
        replace(GOOD, more_fields=("TLS-Report-Domain: z.example",)),
        {("RPT-5.3-05", "contradicting-fields", FAIL)},
    ),
    ("another report domain", replace(GOOD, report_domain="z.example"), {("RPT-5.3-07", "domain-differs", FAIL)}),
    ("another submitter", replace(GOOD, submitter=f"mail.{SUBMITTER}"), {("RPT-5.3-06", "submitter-differs", FAIL)}),
    ("free Subject", replace(GOOD, subject="TLS report"), {("RPT-5.3-09", "subject-form", WEAK)}),
    ("lower-case Subject", replace(GOOD, subject=GOOD.subject.lower()), {("RPT-5.3-09", "subject-form", WEAK)}),
    (
        "Report-ID without brackets",
        replace(GOOD, subject=GOOD.subject.replace("<", "").replace(">", "")),
        {("RPT-5.3-09", "subject-form", WEAK)},
    ),
    (
        "Report-ID without at",
        replace(GOOD, subject=GOOD.subject.replace(f"@{SUBMITTER}>", ">")),
        {("RPT-5.3-09", "report-id-form", WEAK), ("RPT-5.6-01", "report-id-differs", INFO)},
    ),
    (
        "another Report-ID",
        replace(GOOD, subject=GOOD.subject.replace("20260302", "1")),
        {("RPT-5.6-01", "report-id-differs", INFO)},
    ),
    (
        "Subject names another domain",
        replace(GOOD, subject=GOOD.subject.replace(": a.example", ": z.example")),
        {("RPT-5.6-01", "domain-differs", WEAK)},
    ),
    (
        "Subject names another submitter",
        replace(GOOD, subject=GOOD.subject.replace(f": {SUBMITTER}", ": z.example")),
        {("RPT-5.6-01", "submitter-differs", WEAK)},
    ),
    ("no file name", replace(GOOD, disposition="attachment"), {("RPT-5.1-01", "no-file-name", WEAK)}),
    ("free file name", replace(GOOD, file_name="report.json.gz"), {("RPT-5.1-01", "file-name-form", WEAK)}),
    (
        "file name with a dash in its id",
        replace(GOOD, file_name=f"{NAME}!0-1.json.gz"),
        {("RPT-5.1-01", "file-name-form", WEAK)},
    ),
    ("extension of plain text", replace(GOOD, file_name=f"{NAME}.json"), {("RPT-5.1-05", "extension", FAIL)}),
    (
        "extension unknown",
        replace(GOOD, file_name=f"{NAME}.gz"),
        {("RPT-5.1-05", "extension", FAIL), ("RPT-5.1-01", "file-name-form", WEAK)},
    ),
    (
        "file name in u-labels",
        replace(GOOD, file_name=f"{SUBMITTER}!bücher.example!{BEGIN}!{END}.json.gz"),
        {("RPT-5.1-03", "u-label", FAIL), ("RPT-5.6-01", "domain-differs", WEAK)},
    ),
    (
        "file name of another sender",
        replace(GOOD, file_name=f"z.example!a.example!{BEGIN}!{END}.json.gz"),
        {("RPT-5.1-02", "sender-differs", WEAK)},
    ),
    (
        "file name of another domain",
        replace(GOOD, file_name=f"{SUBMITTER}!z.example!{BEGIN}!{END}.json.gz"),
        {("RPT-5.6-01", "domain-differs", WEAK)},
    ),
    (
        "file name begins early",
        replace(GOOD, file_name=f"{SUBMITTER}!a.example!{BEGIN - 60}!{END}.json.gz"),
        {("RPT-5.1-04", "begin-differs", WEAK)},
    ),
    (
        "file name ends late",
        replace(GOOD, file_name=f"{SUBMITTER}!a.example!{BEGIN}!{END + 60}.json.gz"),
        {("RPT-5.1-04", "end-differs", WEAK)},
    ),
    (
        "file name ends at midnight",
        replace(GOOD, file_name=f"{SUBMITTER}!a.example!{BEGIN}!{END + 1}.json.gz"),
        {("RPT-5.1-04", "end-differs", INFO)},
    ),
    ("no signature", replace(GOOD, signed_by=None), {("RPT-3-11", "no-signature", FAIL)}),
    ("signature of somebody else", replace(GOOD, signed_by="esp.example"), {("RPT-3-11", "unrelated-signature", FAIL)}),
    ("body length", replace(GOOD, length=True), {("RPT-3-12", "body-length-tag", FAIL)}),
    (
        "From not signed",
        replace(GOOD, signed_fields=GOOD.signed_fields[1:]),
        {("DKIM-5.4-01", "from-not-signed", FAIL)},
    ),
    (
        "report fields not signed",
        replace(GOOD, signed_fields=GOOD.signed_fields[:3]),
        {("RPT-5.3-08", "report-fields-not-signed", WEAK)},
    ),
]


@pytest.mark.parametrize(("mail", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_smallest_change_is_found_and_nothing_else(mail: Mail, expected: set[tuple[str, str, Grade]]) -> None:
    assert short(found(mail.octets())) == expected


def test_a_good_mail_is_clean_and_its_signature_verifies() -> None:
    octets = GOOD.octets()
    assert parse_report(octets).kind is Kind.MAIL
    assert found(octets) == ()
    assert found(octets, keys()) == ()
    rows = {row.obligation for row in not_judged(parse_report(octets), REQUIREMENTS, keys())}
    assert not rows & {"RPT-3-11", "RPT-3-12", "RPT-3-13", "RPT-5.1-01", "RPT-5.2-01", "RPT-5.3-05", "DKIM-5.4-01"}


def _cut(field: str) -> bytes:
    """The good mail, unsigned, without a field."""
    octets = replace(GOOD, signed_by=None).octets()
    changed = re.sub(rb"(?m)^" + field.encode() + rb":.*\r\n", b"", octets, count=1)
    assert changed != octets
    return changed


@pytest.mark.parametrize("field", ["From", "Date", "Message-ID", "MIME-Version"])
def test_what_every_message_has_is_missed(field: str) -> None:
    assert short(found(_cut(field))) == {("MPR-3-01", "field-missing", INFO), ("RPT-3-11", "no-signature", FAIL)}


def test_nobody_has_to_be_addressed_in_the_header() -> None:
    assert short(found(_cut("To"))) == {("RPT-3-11", "no-signature", FAIL)}


@pytest.mark.parametrize(
    "again", ["Content-Type: multipart/mixed; boundary=zz", "From: z@z.example", "MIME-Version: 2"]
)
def test_two_fields_that_contradict_each_other_are_weak(again: str) -> None:
    octets = replace(GOOD, signed_by=None).octets()
    expected = {("MPR-3-01", "contradicting-fields", WEAK), ("RPT-3-11", "no-signature", FAIL)}
    at = octets.index(b"\r\n\r\n") + 2
    assert short(found(octets[:at] + again.encode() + b"\r\n" + octets[at:])) == expected


@pytest.mark.parametrize(
    ("encoding", "odd"), [("", True), ("7bit", True), ("8bit", True), ("binary", False), ("x-raw", True)]
)
def test_octets_that_the_transfer_encoding_does_not_allow_are_noted(encoding: str, odd: bool) -> None:
    declared = f"Content-Transfer-Encoding: {encoding}\r\n".encode() if encoding else b""
    octets = _with_data(PACKED).replace(b"Content-Transfer-Encoding: base64\r\n", declared)
    expected = {("MPR-3-01", "odd-transfer-encoding", INFO)} if odd else NOTHING
    assert short(found(octets)) - {("RPT-3-11", "no-signature", FAIL)} == expected


@pytest.mark.parametrize("rest", [" (copy)", " (a (nested) one)", " \t(b\\)) (c) "])
def test_a_subject_may_end_in_comments(rest: str) -> None:
    assert found(replace(GOOD, subject=GOOD.subject + rest).octets()) == ()


@pytest.mark.parametrize("rest", [" copy", " (open", " (a) b", " )", " (\\)"])
def test_a_subject_may_end_in_nothing_else(rest: str) -> None:
    assert short(found(replace(GOOD, subject=GOOD.subject + rest).octets())) == {("RPT-5.3-09", "subject-form", WEAK)}


def test_the_extension_may_be_in_capital_letters() -> None:
    assert found(replace(GOOD, file_name=f"{NAME}.JSON.GZ").octets()) == ()


NOTHING: set[tuple[str, str, Grade]] = set()


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda octets: octets.replace(b"\r\n", b"\n"),
        lambda octets: b"From reporter@sender.example Mon Mar  2 00:00:00 2026\r\n" + octets,
        lambda octets: b"Received: from a by b;\r\n\tMon, 2 Mar 2026\r\n" + octets,
        lambda octets: octets.replace(b'boundary="=_limit"', b'Boundary = "=_limit" ; x=y'),
        lambda octets: octets.replace(b"Report-ID: <", b"Report-ID:\r\n <"),
        lambda octets: octets.replace(b"multipart/report", b"Multipart/Report").replace(b"=tlsrpt", b'="TLSRPT"'),
        lambda octets: octets.replace(b"--=_limit\r\n", b"--=_limit \t\r\n"),
        lambda octets: octets + b"\r\nan epilogue\r\n",
    ],
    ids=["bare LF", "mbox", "Received", "boundary", "folded", "case", "blanks behind the boundary", "epilogue"],
)
def test_the_same_message_written_in_another_way_is_as_good(rewrite: Callable[[bytes], bytes]) -> None:
    octets = GOOD.octets()
    rewritten = rewrite(octets)
    assert rewritten != octets
    assert short(found(rewritten)) == NOTHING


def _with_data(coded: bytes) -> bytes:
    octets = replace(GOOD, signed_by=None).octets()
    begin = octets.index(b"\r\n\r\n", octets.index(b"base64")) + 4
    return octets[:begin] + coded + octets[octets.rindex(b"\r\n--=_limit--") :]


PACKED = gzip.compress(text(good()), mtime=0)
CODED = base64.b64encode(PACKED)


@pytest.mark.parametrize(
    ("coded", "odd"),
    [
        (CODED, False),
        (b"\r\n".join(CODED[at : at + 60] for at in range(0, len(CODED), 60)), False),
        (CODED.rstrip(b"="), False),
        (base64.urlsafe_b64encode(PACKED), False),
        (b" \t".join(CODED[at : at + 7] for at in range(0, len(CODED), 7)), False),
        (b"".join(base64.b64encode(PACKED[at : at + 100]) for at in range(0, len(PACKED), 100)), False),
        (CODED[:40] + b"!?" + CODED[40:], True),
    ],
    ids=["one line", "short lines", "no padding", "other alphabet", "blanks", "pieces", "noise"],
)
def test_base64_in_any_style_is_understood(coded: bytes, odd: bool) -> None:
    expected = {("RPT-3-11", "no-signature", FAIL)} | ({("MPR-3-01", "odd-transfer-encoding", INFO)} if odd else set())
    assert short(found(_with_data(coded))) == expected


@pytest.mark.parametrize(
    "disposition",
    [
        f"attachment; filename={NAME}.json.gz",
        f"attachment; filename*=utf-8''{NAME.replace('!', '%21')}.json.gz",
        f'attachment;\r\n filename*0="{NAME[:20]}";\r\n filename*1="{NAME[20:]}.json.gz"',
        f"attachment; filename*0*=us-ascii'en'{NAME[:20]}; filename*1*={NAME[20:].replace('!', '%21')}; filename*2=.json.gz",
        f'attachment; filename="=?utf-8?B?{base64.b64encode(f"{NAME}.json.gz".encode()).decode()}?="',
    ],
)
def test_file_names_are_read_however_they_are_coded(disposition: str) -> None:
    octets = replace(GOOD, disposition=disposition).octets()
    assert parse_report(octets).file_name == f"{NAME}.json.gz"
    assert found(octets) == ()


def test_the_name_parameter_does_where_there_is_no_other() -> None:
    octets = replace(GOOD, disposition="inline", data_type=f'application/tlsrpt+gzip; name="{NAME}.json.gz"').octets()
    assert found(octets) == ()


def test_text_for_people_may_have_several_renderings() -> None:
    octets = replace(GOOD, signed_by=None).octets()
    alternative = b"Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\nA\r\n--in\r\nContent-Type: text/html\r\n\r\n<p>A\r\n--in--\r\n"
    begin = octets.index(b"Content-Type: text/plain")
    octets = octets[:begin] + alternative + octets[octets.index(b"--=_limit\r\n", begin) :]
    assert short(found(octets)) == {("RPT-3-11", "no-signature", FAIL)}


def test_about_dane_the_recipient_domain_may_stand_outside() -> None:
    report = changed(lambda one: one.update(policies=one["policies"][1:2]))
    assert short(found(replace(GOOD, report=report).octets())) == {
        ("RPT-5.3-07", "domain-differs", INFO),
        ("RPT-5.6-01", "domain-differs", INFO),
    }


class TestSignature:
    def test_a_touched_body_does_not_verify(self) -> None:
        octets = GOOD.octets().replace(b"A report for programs", b"A report for machines")
        assert short(found(octets, keys())) == {("RPT-3-11", "invalid-signature", FAIL)}

    def test_a_touched_field_does_not_verify(self) -> None:
        octets = GOOD.octets().replace(b"To: reports@a.example", b"To: reports@z.example")
        assert short(found(octets, keys())) == {("RPT-3-11", "invalid-signature", FAIL)}

    def test_what_l_leaves_out_is_not_protected(self) -> None:
        length, partly = ("RPT-3-12", "body-length-tag", FAIL), ("DKIM-3.5-01", "body-partly-signed", FAIL)
        octets = replace(GOOD, length=True).octets()
        assert short(found(octets)) == {length}
        findings = found(octets + b"more\r\n")
        assert short(findings) == {length, partly}
        (told,) = (one.observed for one in findings if one.reason == partly[1])
        assert told.endswith(": 6 octets at the end are not")

    def test_no_key_is_no_valid_signature(self) -> None:
        assert short(found(GOOD.octets(), keys({}))) == {("RPT-3-11", "invalid-signature", FAIL)}

    def test_another_key_is_no_valid_signature(self) -> None:
        assert short(found(GOOD.octets(), keys({KEY_NAME: b"v=DKIM1; p=bm8ga2V5"}))) == {
            ("RPT-3-11", "invalid-signature", FAIL)
        }

    def test_the_parent_of_the_submitter_may_sign(self) -> None:
        mail = replace(GOOD, report=changed(lambda one: one.update({"contact-info": "a@mail.sender.example"})))
        mail = replace(
            mail,
            submitter="mail.sender.example",
            subject=GOOD.subject.replace(f": {SUBMITTER}", ": mail.sender.example"),
        )
        mail = replace(mail, file_name=f"mail.{GOOD.file_name}")
        assert found(mail.octets(), keys()) == ()

    def test_a_child_of_the_submitter_may_not(self) -> None:
        mail = replace(GOOD, signed_by="mail.sender.example")
        assert short(found(mail.octets())) == {("RPT-3-11", "unrelated-signature", FAIL)}

    @pytest.mark.parametrize(
        ("services", "expected"),
        [
            ("", set()),
            ("s=*; ", set()),
            ("s=tlsrpt:email; ", set()),
            ("s=email:tlsrpt; ", set()),
            ("s=email; ", {("RPT-3-13", "service-type", WEAK)}),
            ("s=tlsrpt; ", {("DKIM-3.6.1-01", "tlsrpt-alone", INFO)}),
            (
                "s=calendar; ",
                {("RPT-3-13", "service-type", WEAK), ("DKIM-3.6.1-01", "key-for-another-service", FAIL)},
            ),
        ],
    )
    def test_service_types(self, services: str, expected: set[tuple[str, str, Grade]]) -> None:
        assert short(found(GOOD.octets(), keys({KEY_NAME: key_record(services)}))) == expected

    def test_without_a_key_it_is_said_that_nothing_was_verified(self) -> None:
        rows = {row.obligation: row for row in not_judged(parse_report(GOOD.octets()), REQUIREMENTS)}
        assert "not verified" in rows["RPT-3-11"].reason
        assert rows["RPT-3-11"].in_part

    @pytest.mark.parametrize(
        "field",
        [
            b"DKIM-Signature: ;;;=",
            b"DKIM-Signature: v=1; a=rsa-sha256; d=sender.example; s=reports; h=; bh=; b=",
            b"DKIM-Signature: v=1; l=zz; d=" + b"a" * 9000,
            b"DKIM-Signature: v=1; a=rsa-sha256; b=AAAA;" + b" " * 5000 + b"d=sender.example; s=reports",
        ],
    )
    def test_hostile_signatures_end_in_a_finding_or_in_not_judged(self, field: bytes) -> None:
        octets = field + b"\r\n" + replace(GOOD, signed_by=None).octets()
        parsed = parse_report(octets)
        told = {finding.obligation for finding in grade(parsed, REQUIREMENTS, keys())}
        told |= {row.obligation for row in not_judged(parsed, REQUIREMENTS, keys())}
        assert "RPT-3-11" in told


class TestPosted:
    def test_a_good_post_is_clean(self) -> None:
        assert found(PACKED, media_type_hint="application/tlsrpt+gzip") == ()
        assert found(PACKED, media_type_hint="Application/TLSRPT+gzip; charset=x") == ()

    def test_the_media_type_has_to_fit(self) -> None:
        assert short(found(PACKED, media_type_hint="application/tlsrpt+json")) == {("RPT-5.4-02", "media-type", WEAK)}
        assert short(found(PACKED, media_type_hint="application/gzip")) == {("RPT-5.4-02", "media-type", WEAK)}

    def test_plain_text_is_weak(self) -> None:
        assert short(found(text(good()), media_type_hint="application/tlsrpt+json")) == {
            ("RPT-5.2-01", "not-compressed", WEAK)
        }


class TestFiles:
    def test_a_file_name_is_judged_where_it_is_known(self) -> None:
        assert found(PACKED, file_name=GOOD.file_name) == ()
        assert short(found(PACKED, file_name=f"{NAME}.json")) == {("RPT-5.1-05", "extension", FAIL)}

    def test_several_gzip_members_are_noted(self) -> None:
        whole = text(good())
        octets = gzip.compress(whole[:100]) + gzip.compress(whole[100:])
        assert short(found(octets)) == {("RPT-5.2-01", "gzip-members", INFO)}

    def test_octets_behind_the_gzip_data_are_weak(self) -> None:
        assert short(found(PACKED + b"rubbish")) == {("RPT-5.2-01", "gzip-trailing-data", WEAK)}
        assert found(PACKED + b"\0\0\0") == ()

    @pytest.mark.parametrize("cut", [12, 40, 200, len(PACKED) - 9, len(PACKED) - 1])
    def test_gzip_that_is_cut_short_fails(self, cut: int) -> None:
        assert ("RPT-4-01", "gzip-cut-short", FAIL) in short(found(PACKED[:cut]))

    def test_a_wrong_checksum_fails_and_the_content_is_kept(self) -> None:
        broken = PACKED[:-8] + bytes(octet ^ 1 for octet in PACKED[-8:])
        assert short(found(broken)) == {("RPT-4-01", "broken-gzip", FAIL)}
        content = parse_report(broken).content
        assert content is not None
        assert len(content.policies) == 3

    def test_nothing_is_missing_from_a_text_that_was_cut(self) -> None:
        whole = text(good())
        for cut in range(1, len(whole), 7):
            assert {one.obligation for one in found(whole[:cut])} == {"RPT-4-01"}
