"""What an enemy would send: everything ends soon, within bounded memory, and with a clear word instead of a traceback."""

from __future__ import annotations

import base64
import gzip
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt import grade, not_judged, parse_report
from mta_sts_lab.tlsrpt.limits import LARGEST_INPUT

from .builder import REQUIREMENTS, Mail, good, keys, replace, text

#: Octets. The largest input may be there a few times over, and its values as Python objects.
MOST_MEMORY = 400 << 20
#: Seconds of processor time; the slowest takes two on a machine of 2020.
LONGEST = 30.0


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(
        [packer.compress(b'{"a":"'), *(packer.compress(b" " * (1 << 20)) for _ in range(size >> 20)), packer.flush()]
    )


def _nested_mail(depth: int) -> bytes:
    inner = b"Content-Type: application/tlsrpt+json\n\n{}\n"
    for level in range(depth):
        name = b"level%d" % level
        inner = (
            b"Content-Type: multipart/report; report-type=tlsrpt; boundary="
            + name
            + b"\n\n--"
            + name
            + b"\n"
            + inner
            + b"--"
            + name
            + b"--\n"
        )
    return b"From: a@b.example\nSubject: x\n" + inner


def _multipart(parts: bytes, boundary: bytes = b"x") -> bytes:
    return (
        b"From: a@b.example\nTLS-Report-Domain: a\nContent-Type: multipart/report; boundary="
        + boundary
        + b"\n\n"
        + parts
    )


def _data(coded: bytes, encoding: bytes = b"base64") -> bytes:
    return _multipart(
        b"--x\n\ntext\n--x\nContent-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: "
        + encoding
        + b"\n\n"
        + coded
        + b"\n--x--\n"
    )


def _signed_five_times(body: bytes) -> bytes:
    signature = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=reports; h=from; bh=AAAA; b=AAAA\n"
    )
    return b"From: a@sender.example\n" + signature * 5 + b"\n" + body + b"\n"


BOMB = _bomb(64 << 20)
BIG = LARGEST_INPUT - 200

#: Each with a word of what the parser says about it in `trouble` or in a finding.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip bomb": (lambda: BOMB, "200 times"),
    "gzip bomb in a mail": (lambda: _data(base64.encodebytes(BOMB)), "200 times"),
    "gzip of gzip of gzip": (lambda: gzip.compress(gzip.compress(gzip.compress(b"{}"))), "gzip data inside"),
    "a gzip member for each octet": (lambda: gzip.compress(b"{") + gzip.compress(b" ") * 500, "members"),
    "empty gzip members": (lambda: gzip.compress(b"") * 5000, "members"),
    "much text behind gzip data": (lambda: gzip.compress(b"{}") + b"x" * BIG, "further octets"),
    "barely packed": (lambda: gzip.compress(random.Random(1).randbytes(12 << 20), 1), "no JSON"),
    "100 MiB": (lambda: b"{" * (100 << 20), "16 MiB"),
    "16 MiB of brackets": (lambda: b"[" * BIG, "nested"),
    "16 MiB of closed brackets": (lambda: b"[" + b"[]," * (BIG // 3), "values"),
    "16 MiB of objects": (lambda: b"[" + b'{"a":{}},' * (BIG // 9), "values"),
    "16 MiB of commas": (lambda: b"[" + b"," * BIG, "a value"),
    "16 MiB of one string": (lambda: b'{"a":"' + b"x" * BIG + b'"}', "absent"),
    "16 MiB of escapes": (lambda: b'{"a":"' + b"\\u0000" * (BIG // 6) + b'"}', "absent"),
    "16 MiB of a string without end": (lambda: b'{"a":"' + b"\\\\" * (BIG // 2), "the end"),
    "16 MiB of digits": (lambda: b'{"a":' + b"9" * BIG + b"}", "9999"),
    "16 MiB of a name": (lambda: b'{"' + b"n" * BIG + b'":NaN}', "NaN"),
    "16 MiB of blanks": (lambda: b"{" + b" " * BIG, "the end"),
    "16 MiB of blanks and nothing": (lambda: b" " * BIG, "nothing"),
    "150 000 members of one name": (lambda: b"{" + b'"a":1,' * 150_000 + b'"b":1}', "again"),
    "150 000 NaNs": (lambda: b'{"policies":[' + b"NaN," * 150_000 + b"1]}", "NaN"),
    "many policies": (lambda: b'{"policies":[' + b"{}," * 6_000 + b"{}]}", "policies"),
    "many failures": (lambda: b'{"policies":[{"failure-details":[' + b"{}," * 15_000 + b"{}]}]}", "failure details"),
    "failures up to the bound": (
        lambda: b'{"policies":[{"failure-details":[' + b"{}," * 9_000 + b"{}]}]}",
        "absent",
    ),
    "noise": (lambda: random.Random(2).randbytes(BIG), "neither"),
    "noise behind the gzip magic": (lambda: b"\x1f\x8b\x08\x00" + random.Random(3).randbytes(BIG), "RPT-4-01"),
    "zeros": (lambda: bytes(BIG), "neither"),
    "a cut gzip header": (lambda: b"\x1f\x8b\x08", "its end"),
    "lone surrogates": (lambda: b'{"organization-name":"\\ud800","\\udfff":1}', "code points"),
    "deep MIME": (lambda: _nested_mail(2_000), "levels deep"),
    "MIME at the bound": (lambda: _nested_mail(7), "RPT-5.3-03"),
    "many parts": (lambda: _multipart(b"--x\n\na\n" * 100_000), "parts"),
    "parts that hold parts": (
        lambda: _multipart((b"--x\nContent-Type: multipart/mixed; boundary=y\n\n" + b"--y\n\n" * 60) * 60),
        "parts",
    ),
    "the same boundary inside": (
        lambda: _multipart(b"--x\nContent-Type: multipart/report; boundary=x\n\n--x\n\n{}\n--x--\n"),
        "RPT-4.4-01",
    ),
    "a long boundary": (lambda: _multipart(b"--" + b"y" * 100_000 + b"\n", b"y" * 100_000), "RPT-5.3-03"),
    "nothing but delimiters": (lambda: _multipart(b"--x" * (BIG // 4)), "RPT-5.3-03"),
    "many fields": (lambda: b"From: a\n" + b"X: y\n" * 10_000 + b"\n", "fields"),
    "a long field": (lambda: b"From: " + b"a" * (1 << 20) + b"\n\n", "header section"),
    "a field of folds": (lambda: b"Subject: Report Domain: \n" + b" \n" * 100_000 + b"\n", "RPT-5.3-09"),
    "a header without end": (lambda: b"From: a\n" + b"x" * BIG, "header section"),
    "parameters without end": (
        lambda: b"From: a\nContent-Type: multipart/report" + b'; a="' * 50_000 + b"\n\n{}",
        "RPT-5.3-02",
    ),
    "continuations": (
        lambda: b"From: a\nContent-Type: a/b" + b"".join(b"; name*%d*=%%ff" % n for n in range(10_000)) + b"\n\n{}",
        "RPT-5.3-02",
    ),
    "encoded words": (
        lambda: b"From: a\nTLS-Report-Domain: b\nSubject: " + b"=?utf-8?q?=?= " * 15_000 + b"\n\n{}",
        "RPT-5.3-09",
    ),
    "comments": (lambda: b"From: a\nContent-Type: " + b"(" * 200_000 + b"\n\n{}", "RPT-5.3-02"),
    "base64 of pads": (lambda: _data(b"=" * (BIG - 500)), "RPT-4-01"),
    "base64 in small pieces": (lambda: _data(b"QQ=" * ((BIG - 500) // 3)), "pieces"),
    "base64 and noise by turns": (lambda: _data(b"A=!" * ((BIG - 500) // 3)), "pieces"),
    "base64 and blanks by turns": (lambda: _data(b"A " * ((BIG - 500) // 2)), "RPT-4-01"),
    "base64 of noise": (lambda: _data(b"\xff" * (BIG - 500)), "no base64"),
    "quoted-printable of noise": (lambda: _data(b"=" * (BIG - 500), b"quoted-printable"), "RPT-4-01"),
    "an unknown encoding": (lambda: _data(b"{}", b"x-" + b"u" * 5_000), "unknown transfer encoding"),
    "many signatures": (
        lambda: b"DKIM-Signature: v=1; d=a; s=b; h=from\n" * 400 + Mail(signed_by=None).octets(),
        "RPT-3-11",
    ),
    "a signature of blanks": (
        lambda: (
            b"DKIM-Signature: v=1; b="
            + b" \t" * 100_000
            + b"; d=sender.example; s=reports; h=from\n"
            + Mail(signed_by=None).octets()
        ),
        "longer than 8 KiB",
    ),
    "a signed body of blanks": (
        lambda: Mail().octets().replace(b"A report for programs follows.", b" " * (8 << 20)),
        "body hash mismatch",
    ),
    "runs of blanks under five signatures": (
        lambda: _signed_five_times((b" " * 245 + b"x") * (BIG // 250)),
        "mismatch",
    ),
    "runs of line ends under five signatures": (
        lambda: _signed_five_times((b"\r\n" * 120 + b"x") * (BIG // 250)),
        "mismatch",
    ),
    "single blanks under five signatures": (lambda: _signed_five_times(b" x" * (BIG // 2 - 500)), "mismatch"),
    "signature fields of blanks below the bound": (
        lambda: (
            (b"DKIM-Signature: v=1; a=rsa-sha256; b =" + b" " * 7900 + b"; d=sender.example; s=reports; h=from; bh=A\n")
            * 5
            + Mail(signed_by=None).octets()
        ),
        "RPT-3-11",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_ends_soon_and_with_a_clear_word(name: str) -> None:
    make, word = HOSTILE[name]
    octets = make()
    began = time.process_time()
    parsed = parse_report(octets)
    findings = grade(parsed, REQUIREMENTS, keys())
    silent = not_judged(parsed, REQUIREMENTS, keys())
    took = time.process_time() - began
    said = [parsed.problem, str(parsed.kind), *(row.reason for row in silent)]
    said += [part for one in findings for part in (one.obligation, one.expected, one.observed)]
    assert any(word in one for one in said), said[:5]
    assert findings
    assert took < LONGEST
    # What is quoted of foreign text is short, and the paths are.
    assert all(len(one.observed) + len(one.where) + len(one.expected) < 2_000 for one in findings)


@pytest.mark.parametrize(
    "name",
    [
        "gzip bomb",
        "16 MiB of closed brackets",
        "16 MiB of a name",
        "failures up to the bound",
        "parts that hold parts",
        "16 MiB of escapes",
        "base64 and noise by turns",
        "base64 and blanks by turns",
        "runs of line ends under five signatures",
        "single blanks under five signatures",
    ],
)
def test_hostile_input_takes_bounded_memory(name: str) -> None:
    octets = HOSTILE[name][0]()
    tracemalloc.start()
    try:
        grade(parse_report(octets), REQUIREMENTS, keys())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST_MEMORY


def test_what_the_lab_did_not_look_at_is_inconclusive_and_no_failure_of_the_report() -> None:
    (finding,) = grade(parse_report(BOMB), REQUIREMENTS)
    assert (finding.grade, finding.reason) == (Grade.INCONCLUSIVE, "beyond-limit")


def test_a_report_that_packs_very_well_is_no_bomb() -> None:
    report = good()
    report["policies"] += [report["policies"][1] | {"x": number} for number in range(2_000)]
    parsed = parse_report(gzip.compress(text(report), 9))
    assert not parsed.beyond_limit
    assert len(parsed.policies) == 2_003


def test_the_envelope_is_judged_although_the_report_is_a_bomb() -> None:
    mail = replace(Mail(signed_by=None), packed=False, body=BOMB)
    found = {(one.obligation, one.grade) for one in grade(parse_report(mail.octets()), REQUIREMENTS)}
    assert found == {("RPT-3-11", Grade.FAIL), ("RPT-4-01", Grade.INCONCLUSIVE)}
