"""Whether the authority of a certificate has revoked it: the sender asks for the authority's list (a CRL).

RFC 8461 permits that for MX hosts and for policy hosts (sections 4.2 and 3.3), and leaves open by which means. Only
lists of the authority that the sender trusts itself are read, and only about the host's own certificate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from yarl import URL

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.https_client import is_named_https
from mta_sts_lab.reference.settings import Revocation
from mta_sts_lab.reference.tls import NO_REVOCATION_LIST, REVOKED, Problem

#: Octets. The lists of the lab have a few hundred; those of large authorities have been seen with some millions.
_LARGEST_LIST = 16 * 1024 * 1024


@dataclass(eq=False, repr=False)
class RevocationChecker:
    """Asks for lists of revoked certificates through one HTTP session."""

    session: aiohttp.ClientSession
    ca_pem: str
    mode: Revocation
    flaws: Flaws

    async def problem(self, der: bytes) -> Problem | None:
        """Return what the authority's list says against a certificate that was verified; None if nothing does.

        A list that is not to be had, or does not count, is no reason to refuse the certificate: RFC 8461 asks for no
        such proof, and who can stop an answer over HTTP could stop all mail.
        """
        if self.mode == "unchecked":
            return None
        certificate = x509.load_der_x509_certificate(der)
        places = list(_places(certificate))
        for place in places:
            found = await self._fetched(place)
            if found is not None and self._counts(found, certificate):
                return self._said_by(found, certificate)
        if places and self.mode == "demanded":
            return Problem(NO_REVOCATION_LIST, "unable to get the list of revoked certificates")
        return None

    def _said_by(self, found: x509.CertificateRevocationList, certificate: x509.Certificate) -> Problem | None:
        # RFC 5280, section 6.3.3, step (j): an entry is about the certificate of its serial number.
        listed = found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
        if self.flaws.ignores_serial_numbers_of_revoked_certificates:
            listed = len(found) > 0
        return Problem(REVOKED, "the authority has revoked the certificate") if listed else None

    def _counts(self, found: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
        """Whether a list is the issuer's, is signed by the authority that is trusted, and is the latest one."""
        root = x509.load_pem_x509_certificate(self.ca_pem.encode())
        now, ends = datetime.now(UTC), found.next_update_utc
        in_time = found.last_update_utc <= now and (ends is None or now <= ends)
        if not in_time or found.issuer != certificate.issuer:
            return False
        return self.flaws.trusts_any_revocation_list or (found.issuer == root.subject and _is_signed(found, root))

    async def _fetched(self, place: URL) -> x509.CertificateRevocationList | None:
        """Return the list at a place; None if it is not to be had there."""
        try:
            async with self.session.get(place, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _LARGEST_LIST:
                        return None
            return x509.load_der_x509_crl(bytes(body))
        except (aiohttp.ClientError, OSError, ValueError):
            return None


def _places(certificate: x509.Certificate) -> Iterator[URL]:
    """Yield where a certificate says that the list is, as far as it is to be had by plain HTTP.

    By HTTPS the host of the list would have a certificate that may be revoked as well (RFC 5280, section 8).
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except (x509.ExtensionNotFound, ValueError):
        return
    for name in (name for point in found.value for name in point.full_name or ()):
        if isinstance(name, x509.UniformResourceIdentifier) and (place := _web_place(name.value)) is not None:
            yield place


def _web_place(text: str) -> URL | None:
    """Return a URL that is http and names a host; None for any other text."""
    try:
        named = text.startswith("http://") and is_named_https(URL(text.replace("http", "https", 1)))
    except ValueError:
        return None
    return URL(text) if named else None


def _is_signed(found: x509.CertificateRevocationList, root: x509.Certificate) -> bool:
    """Whether the authority's key has signed a list. Authorities of other kinds than these issue none here."""
    key = root.public_key()
    return isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and found.is_signature_valid(key)
