"""A TLS-RPT report as a mail (RFC 8460, section 5.3), its DKIM signature (section 3; RFC 6376) and the key record."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

import dkim
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.report import Report, contact, in_u_labels
from mta_sts_lab.whole_files import write_whole

#: Lines are not folded: the email package would break long names up into encoded words, which no field here allows.
#: All of them stay below the 998 octets of RFC 5322, section 2.1.1: the longest has two domain names in it.
_UNFOLDED = policy.SMTP.clone(max_line_length=None)

#: Occurs in no base64.
_BOUNDARY = "=_reference_sender_tls_report"


def build_report_mail(report: Report, to: str, hostname: str, now: float, flaws: Flaws = NO_FLAWS) -> bytes:
    """Return the mail that carries a report to an address. `now` is virtual, in seconds since 1970."""
    mail = EmailMessage(policy=_UNFOLDED)
    mail["From"] = contact(report.submitter)
    mail["To"] = to
    mail["Subject"] = _subject(report, flaws)
    mail["Date"] = formatdate(now)
    mail["Message-ID"] = f"<{report.id}>"
    if not flaws.leaves_out_report_fields:
        mail["TLS-Report-Domain"] = f"mx1.{report.domain}" if flaws.names_mx_in_report_field else report.domain
        mail["TLS-Report-Submitter"] = hostname if flaws.names_other_submitter else report.submitter
    mail["TLS-Required"] = "No"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Content-Type"] = f'{_media_type(flaws)}; boundary="{_BOUNDARY}"'
    mail["MIME-Version"] = "1.0"
    explanation = EmailMessage(policy=_UNFOLDED)
    explanation.set_content(
        f"This is an aggregate TLS report of {report.submitter} about {report.domain} (RFC 8460).\n", cte="7bit"
    )
    parts = [explanation, _machine_part(report, hostname, flaws)]
    for part in reversed(parts) if flaws.mails_report_first else parts:
        mail.attach(part)
    octets = mail.as_bytes()
    return octets.removesuffix(f"--{_BOUNDARY}--\r\n".encode()) if flaws.leaves_mail_unclosed else octets


def _media_type(flaws: Flaws) -> str:
    if flaws.mails_as_mixed:
        return "multipart/mixed"
    return f"multipart/report; report-type={'tls-report' if flaws.mails_other_report_type else 'tlsrpt'}"


def _subject(report: Report, flaws: Flaws) -> str:
    if flaws.writes_free_subject:
        return f"TLS report for {report.domain}"
    domain = f"mx1.{report.domain}" if flaws.names_other_domain_in_subject else report.domain
    return f"Report Domain: {domain} Submitter: {report.submitter} Report-ID: <{report.id}>"


def _machine_part(report: Report, hostname: str, flaws: Flaws) -> EmailMessage:
    subtype = "gzip" if flaws.mails_wrong_media_type else "tlsrpt+gzip"
    content, name = report.packed, _file_name(report, hostname, flaws)
    if flaws.sends_reports_unpacked:
        subtype, content, name = "tlsrpt+json", report.text, name.removesuffix(".gz")
    part = EmailMessage(policy=_UNFOLDED)
    part["Content-Type"] = f"application/{subtype}"
    part["Content-Transfer-Encoding"] = "base64"
    # Outside of ASCII the package encodes it as RFC 2231 has it.
    part.add_header("Content-Disposition", "attachment", filename=name)
    part.set_payload(base64.encodebytes(content).decode("ascii"))
    return part


def _file_name(report: Report, hostname: str, flaws: Flaws) -> str:
    if flaws.names_file_badly:
        return "tls-report.json.gz"
    if flaws.names_file_after_host:
        report = msgspec.structs.replace(report, submitter=hostname)
    if flaws.names_file_in_milliseconds:
        report = msgspec.structs.replace(report, begins=report.begins * 1000, ends=report.ends * 1000)
    if flaws.names_file_in_u_labels:
        report = msgspec.structs.replace(report, domain=in_u_labels(report.domain))
    return report.file_name.removesuffix(".gz") if flaws.names_packed_file_json else report.file_name


#: RFC 8301, section 3.2: signers use at least 2048 bits.
KEY_BITS = 2048

_SIGNED_FIELDS = (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"TLS-Required", b"MIME-Version", b"Content-Type")
_REPORT_FIELDS = (b"TLS-Report-Domain", b"TLS-Report-Submitter")


@dataclass(eq=False, repr=False)
class ReportSigner:
    """Signs for a domain with a key that is made when it is first needed and then kept in a file.

    `key_pem`, if given, is the key instead of the file's (RSA, PEM).
    """

    domain: str
    selector: str
    path: Path
    key_pem: str
    flaws: Flaws

    def __post_init__(self) -> None:
        self._key_pem = self.key_pem.encode("ascii")

    def records(self) -> dict[str, str]:
        """Return the key record to publish: owner name and TXT text, whole. Raises `OSError`.

        No service is listed, which means all of them (RFC 6376, section 3.6.1): that admits tlsrpt, as RFC 8460,
        section 3 wants, and the ordinary mail verifiers, which skip a key for tlsrpt only.
        """
        shown = _public_key(self._key())
        service = "s=email; " if self.flaws.publishes_key_for_mail_alone else ""
        service = "s=calendar; " if self.flaws.publishes_key_for_another_service else service
        text = f"v=DKIM1; k=rsa; {service}p={base64.b64encode(shown).decode()}"
        return {f"{self.selector}._domainkey.{self.domain}": text}

    def signed(self, mail: bytes) -> bytes:
        """Return a mail under its signature. Raises `OSError`."""
        if self.flaws.sends_unsigned_reports:
            return mail
        fields = _SIGNED_FIELDS if self.flaws.signs_without_report_fields else _SIGNED_FIELDS + _REPORT_FIELDS
        begins_part = mail.rindex(f"--{_BOUNDARY}\r\n".encode()) if self.flaws.signs_beginning_of_body else len(mail)
        signer = dkim.DKIM(mail[:begins_part])
        if self.flaws.signs_without_from:
            _leave_out_from(signer)
        signature: bytes = signer.sign(
            self.selector.encode("ascii"),
            self.domain.encode("ascii"),
            self._key(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=list(fields),
            length=self.flaws.signs_with_length or self.flaws.signs_beginning_of_body,
        )
        return signature + mail

    def _key(self) -> bytes:
        if not self._key_pem:
            self._key_pem = self._kept() or self._made()
        return self._key_pem

    def _kept(self) -> bytes:
        try:
            pem = self.path.read_bytes()
            serialization.load_pem_private_key(pem, None)
        except (FileNotFoundError, ValueError):
            return b""
        return pem

    def _made(self) -> bytes:
        pem = _new_key()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, pem, secret=True)
        return pem


@functools.cache
def _new_key() -> bytes:
    """Return a private key (RSA, PEM): one a process, because a tenth of a short run's time went into making it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


@functools.cache
def _public_key(pem: bytes) -> bytes:
    """Return the public part of a private key (PEM) in DER. Reading a key takes 30 ms, because OpenSSL checks it."""
    key = serialization.load_pem_private_key(pem, None)
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _leave_out_from(signer: Any) -> None:
    """Flaw: have dkimpy, which insists on From, leave it out of what it signs."""
    honest = signer.gen_header

    def gen_header(tags: list[tuple[bytes, bytes]], fields: tuple[bytes, ...], *rest: Any) -> bytes:
        signed = tuple(name for name in fields if name != b"from")
        header: bytes = honest([(tag, b":".join(signed) if tag == b"h" else text) for tag, text in tags], signed, *rest)
        return header

    signer.gen_header = gen_header
