"""Reports made by hand: a good one of every kind, and the smallest change that makes each of them bad."""

from __future__ import annotations

import base64
import copy
import functools
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mta_sts_lab.model.grading import Grade, least
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.tlsrpt import Finding, KeyLookup, grade, parse_report
from mta_sts_lab.tlsrpt.departures import printed_alike

REQUIREMENTS = load_requirements()

SUBMITTER = "sender.example"
KEY_NAME = "reports._domainkey.sender.example"
#: 2 March 2026, 00:00:00 and 23:59:59 UTC.
BEGIN, END = 1772409600, 1772495999

_GOOD: dict[str, Any] = {
    "organization-name": "Sender Incorporated",
    "date-range": {"start-datetime": "2026-03-02T00:00:00Z", "end-datetime": "2026-03-02T23:59:59Z"},
    "contact-info": "tls-reports@sender.example",
    "report-id": "20260302.a.example@sender.example",
    "policies": [
        {
            "policy": {
                "policy-type": "sts",
                "policy-string": [
                    "version: STSv1",
                    "mode: testing",
                    "mx: mx1.a.example",
                    "mx: *.backup.a.example",
                    "max_age: 604800",
                ],
                "policy-domain": "a.example",
                "mx-host": ["mx1.a.example", "*.backup.a.example"],
            },
            "summary": {"total-successful-session-count": 10, "total-failure-session-count": 4},
            "failure-details": [
                {
                    "result-type": "starttls-not-supported",
                    "sending-mta-ip": "192.0.2.10",
                    "receiving-mx-hostname": "mx1.a.example",
                    "receiving-mx-helo": "mail.a.example",
                    "receiving-ip": "198.51.100.7",
                    "failed-session-count": 2,
                    "additional-information": "https://sender.example/tls?id=1",
                },
                {
                    "result-type": "certificate-not-trusted",
                    "sending-mta-ip": "2001:db8::10",
                    "receiving-mx-hostname": "one.backup.a.example",
                    "receiving-ip": "2001:db8:1::7",
                    "failed-session-count": 1,
                    "failure-reason-code": "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT",
                },
                {"result-type": "sts-policy-fetch-error", "failed-session-count": 1},
            ],
        },
        {
            "policy": {
                "policy-type": "tlsa",
                "policy-string": [f"3 1 1 {'0123456789ABCDEF' * 4}", f"2 1 1 {'fedcba9876543210' * 4}"],
                "policy-domain": "mx.b.example",
            },
            "summary": {"total-successful-session-count": 5, "total-failure-session-count": 0},
        },
        {
            "policy": {"policy-type": "no-policy-found", "policy-domain": "a.example"},
            "summary": {"total-successful-session-count": 3, "total-failure-session-count": 0},
            "failure-details": [],
        },
    ],
}


def good() -> dict[str, Any]:
    """Return a report with nothing wrong, to be changed at will."""
    return copy.deepcopy(_GOOD)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the good report after a change."""
    report = good()
    change(report)
    return report


def text(report: object) -> bytes:
    """Return a report as JSON."""
    return json.dumps(report, ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mailed report with nothing wrong; `replace` makes it bad."""

    report: object = field(default_factory=good)
    packed: bool = True
    file_name: str = f"{SUBMITTER}!a.example!{BEGIN}!{END}!001.json.gz"
    subject: str = f"Report Domain: a.example Submitter: {SUBMITTER} Report-ID: <20260302.a.example@{SUBMITTER}>"
    report_domain: str | None = "a.example"
    submitter: str | None = SUBMITTER
    top_type: str = "multipart/report"
    report_type: str | None = "tlsrpt"
    data_type: str = "application/tlsrpt+gzip"
    parts: str = "text data"
    closed: bool = True
    body: bytes | None = None
    disposition: str | None = None
    more_fields: tuple[str, ...] = ()
    signed_by: str | None = SUBMITTER
    signed_fields: tuple[bytes, ...] = (b"From", b"To", b"Subject", b"TLS-Report-Domain", b"TLS-Report-Submitter")
    length: bool = False

    def octets(self) -> bytes:
        """Return the message, signed if it is to be."""
        message = self._unsigned()
        if self.signed_by is None:
            return message
        return self._signature(message) + message

    def _unsigned(self) -> bytes:
        lines = [
            f"From: TLS reports <tls-reports@{SUBMITTER}>",
            "To: reports@a.example",
            f"Subject: {self.subject}",
            "Date: Tue, 03 Mar 2026 00:10:00 +0000",
            f"Message-ID: <20260303.1@{SUBMITTER}>",
            *([f"TLS-Report-Domain: {self.report_domain}"] if self.report_domain is not None else []),
            *([f"TLS-Report-Submitter: {self.submitter}"] if self.submitter is not None else []),
            *self.more_fields,
            "MIME-Version: 1.0",
        ]
        if self.parts == "alone":
            return "\r\n".join(lines).encode() + b"\r\n" + self._data()
        report_type = f"; report-type={self.report_type}" if self.report_type is not None else ""
        lines.append(f'Content-Type: {self.top_type}{report_type};\r\n boundary="=_limit"')
        pieces = {
            "text": b"Content-Type: text/plain; charset=utf-8\r\n\r\nA report for programs follows.\r\n",
            "data": self._data(),
            "more": b"Content-Type: message/rfc822\r\n\r\nSubject: something else\r\n\r\nhello\r\n",
        }
        parts = b"".join(b"--=_limit\r\n" + pieces[name] for name in self.parts.split())
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + parts + (b"--=_limit--\r\n" if self.closed else b"")

    def _data(self) -> bytes:
        content = text(self.report) if self.body is None else self.body
        octets = gzip.compress(content, mtime=0) if self.packed and self.body is None else content
        disposition = self.disposition or f'attachment; filename="{self.file_name}"'
        head = f"Content-Type: {self.data_type}\r\nContent-Transfer-Encoding: base64\r\n"
        head += f"Content-Disposition: {disposition}\r\n\r\n"
        return head.encode() + base64.encodebytes(octets).replace(b"\n", b"\r\n")

    def _signature(self, message: bytes) -> bytes:
        import dkim

        named = [name for name in self.signed_fields if name.lower() + b":" in message.lower()]
        signer = dkim.DKIM(message)
        # The signer refuses to leave From out, which somebody else's may not.
        header: bytes = signer.sign(
            b"reports",
            (self.signed_by or "").encode(),
            private_key(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=named if b"From" in named else [b"From", *named],
            length=self.length,
        )
        return (
            header
            if b"From" in self.signed_fields
            else header.replace(b"h=From : ", b"h=").replace(b"h=from : ", b"h=")
        )


@functools.cache
def private_key() -> bytes:
    """Return the DKIM key of these tests, made once."""
    return _key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def key_record(more: str = "") -> bytes:
    """Return the TXT record with the public key."""
    public = (
        _key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return f"v=DKIM1; k=rsa; {more}p={base64.b64encode(public).decode()}".encode()


def keys(records: Mapping[str, bytes] | None = None) -> KeyLookup:
    """Return a lookup that knows these records and that there are no others."""
    known = {KEY_NAME: key_record()} if records is None else records
    return known.get


def found(octets: bytes, find_key: KeyLookup | None = None, **options: Any) -> tuple[Finding, ...]:
    """Parse and grade."""
    return grade(parse_report(octets, **options), REQUIREMENTS, find_key)


def short(findings: tuple[Finding, ...]) -> set[tuple[str, str, Grade]]:
    """Return findings so that they compare well. Each says what differs, and is no graver than its obligation."""
    for one in findings:
        most = REQUIREMENTS[one.obligation].grade_when_broken
        assert one.grade is Grade.INCONCLUSIVE or least([one.grade, most]) is one.grade, one
        assert not printed_alike(one.expected, one.observed), one
    return {(finding.obligation, finding.reason, finding.grade) for finding in findings}


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024 * 2)


__all__ = [
    "BEGIN",
    "END",
    "KEY_NAME",
    "Mail",
    "changed",
    "found",
    "good",
    "key_record",
    "keys",
    "replace",
    "short",
    "text",
]
