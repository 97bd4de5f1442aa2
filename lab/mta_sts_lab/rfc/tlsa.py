"""TLSA records (RFC 6698, RFC 7671): their grammar, which of them SMTP can use, and what they match. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

PKIX_TA, PKIX_EE, DANE_TA, DANE_EE = range(4)
CERTIFICATE, PUBLIC_KEY = range(2)
FULL, SHA_256, SHA_512 = range(3)

#: Usages that mean something for SMTP; what the two others would mean is undefined (RFC 7672, section 3.1.3).
USABLE_USAGES = (DANE_TA, DANE_EE)

#: Octets of each digest, by matching type (RFC 6698, section 2.1.3).
DIGEST_LENGTHS = {SHA_256: 32, SHA_512: 64}

#: The digests, the strongest first (RFC 7671, section 9).
STRONGEST_FIRST = (SHA_512, SHA_256)

_RECORD = re.compile(r"(\d{1,3})[ \t]+(\d{1,3})[ \t]+(\d{1,3})[ \t]+([0-9A-Fa-f][0-9A-Fa-f \t]*)", re.ASCII)
_HIGHEST = 255


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """One TLSA record: its four fields."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """Whether SMTP can use it: known parameters, and data that can be what they say (RFC 7672, section 3.1)."""
        if self.usage not in USABLE_USAGES or self.selector not in (CERTIFICATE, PUBLIC_KEY):
            return False
        if self.matching == FULL:
            return bool(self.data)
        return len(self.data) == DIGEST_LENGTHS.get(self.matching)

    def matches(self, certificate: bytes, public_key: bytes) -> bool:
        """Whether it is about this certificate; both are DER, the key as SubjectPublicKeyInfo."""
        chosen = {CERTIFICATE: certificate, PUBLIC_KEY: public_key}.get(self.selector)
        return self.usable and chosen is not None and association(self.matching, chosen) == self.data

    def __str__(self) -> str:
        """Return the presentation form: four fields, the last one in hexadecimal digits without blanks."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


def association(matching: int, chosen: bytes) -> bytes:
    """Return what a record of a matching type holds of a certificate or key. Raises `ValueError` for unknown types."""
    if matching == FULL:
        return chosen
    if matching == SHA_256:
        return hashlib.sha256(chosen).digest()
    if matching == SHA_512:
        return hashlib.sha512(chosen).digest()
    raise ValueError(f"matching type {matching} is unknown")


def read_tlsa(text: str) -> TlsaRecord | None:
    """Read the presentation form of a record (RFC 6698, section 2.2); None if it is none."""
    found = _RECORD.fullmatch(text.strip())
    if found is None:
        return None
    usage, selector, matching = (int(found[number]) for number in (1, 2, 3))
    digits = "".join(found[4].split())
    if max(usage, selector, matching) > _HIGHEST or len(digits) % 2:
        return None
    return TlsaRecord(usage, selector, matching, bytes.fromhex(digits))


def usable(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Return the records that SMTP can use."""
    return tuple(record for record in records if record.usable)


def strongest(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Return the usable records that count: of digests for one usage and selector only the strongest (RFC 7671, 9).

    Records with the full certificate or key always count.
    """
    able = usable(records)
    found = []
    for record in able:
        rivals = {one.matching for one in able if (one.usage, one.selector) == (record.usage, record.selector)}
        best = next((digest for digest in STRONGEST_FIRST if digest in rivals), FULL)
        if record.matching in (FULL, best):
            found.append(record)
    return tuple(found)


def tlsa_name(base_domain: str, port: int = 25) -> str:
    """Return where the TLSA records of a server are (RFC 7672, section 2.2.3)."""
    return f"_{port}._tcp.{base_domain}"
