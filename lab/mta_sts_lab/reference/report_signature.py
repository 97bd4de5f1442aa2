"""The DKIM signature of report mail (RFC 8460, section 3; RFC 6376), and the key record that goes with it."""

from __future__ import annotations

import base64
from pathlib import Path

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mta_sts_lab.reference.atomic import write_atomically
from mta_sts_lab.reference.flaws import Flaws

#: RFC 8301, section 3.2: signers use at least 2048 bits.
KEY_BITS = 2048

_SIGNED_FIELDS = (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"TLS-Required", b"MIME-Version", b"Content-Type")
_REPORT_FIELDS = (b"TLS-Report-Domain", b"TLS-Report-Submitter")


class ReportSigner:
    """Signs for a domain with a key that is made when it is first needed and then kept in a file.

    `key_pem`, if given, is the key instead of the file's (RSA, PEM).
    """

    def __init__(self, domain: str, selector: str, path: Path, key_pem: str, flaws: Flaws) -> None:
        self._domain = domain
        self._selector = selector
        self._path = path
        self._key_pem = key_pem.encode("ascii")
        self._flaws = flaws

    def records(self) -> dict[str, str]:
        """Return the key record to publish: owner name and TXT text, whole. Raises `OSError`.

        No service is listed, which means all of them (RFC 6376, section 3.6.1): that admits tlsrpt, as RFC 8460,
        section 3 wants, and the ordinary mail verifiers, which skip a key for tlsrpt only.
        """
        key = serialization.load_pem_private_key(self._key(), None)
        shown = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = f"v=DKIM1; k=rsa; p={base64.b64encode(shown).decode()}"
        return {f"{self._selector}._domainkey.{self._domain}": text}

    def signed(self, mail: bytes) -> bytes:
        """Return a mail under its signature. Raises `OSError`."""
        if self._flaws.sends_unsigned_reports:
            return mail
        fields = _SIGNED_FIELDS if self._flaws.signs_without_report_fields else _SIGNED_FIELDS + _REPORT_FIELDS
        signature: bytes = dkim.sign(
            mail,
            self._selector.encode("ascii"),
            self._domain.encode("ascii"),
            self._key(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=list(fields),
            length=self._flaws.signs_with_length,
        )
        return signature + mail

    def _key(self) -> bytes:
        if not self._key_pem:
            self._key_pem = self._kept() or self._made()
        return self._key_pem

    def _kept(self) -> bytes:
        try:
            pem = self._path.read_bytes()
            serialization.load_pem_private_key(pem, None)
        except (FileNotFoundError, ValueError):
            return b""
        return pem

    def _made(self) -> bytes:
        key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, pem)
        return pem
