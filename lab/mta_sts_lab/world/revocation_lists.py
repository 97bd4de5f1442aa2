"""Lists of revoked certificates, CRLs (RFC 5280, section 5), and the places that certificates name for them.

A list is of an authority, and its place is named by each certificate (section 4.2.1.13). Here each variant of
`model.world.WITH_REVOCATION_LIST` has a list of its own, at a host below the name of the host that shows the
certificate.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from mta_sts_lab.model.world import NOT_REVOKED, REVOKED_BY_A_STRANGER, WITH_REVOCATION_LIST, WITHOUT_LIST

#: Targets' clocks are moved forward by up to 400 days, and the list must be the latest one even so.
_LONG = datetime.timedelta(days=3650)
_DAY = datetime.timedelta(days=1)


def list_host(host: str) -> str:
    """Return the name of the host that has the list for the certificates of another one."""
    return f"crl.{host}"


def list_path(variant: str) -> str:
    """Return the path of the list that certificates of a variant name."""
    return f"/{variant}.crl"


def distribution_points(variant: str, host: str) -> x509.CRLDistributionPoints:
    """Return the extension by which a host's certificate names the places of lists (RFC 5280, section 4.2.1.13)."""
    # Behind the stranger's list is the authority's own: so nobody has to refuse the certificate for want of a list.
    variants = (variant, NOT_REVOKED) if variant == REVOKED_BY_A_STRANGER else (variant,)
    places = [x509.UniformResourceIdentifier(f"http://{list_host(host)}{list_path(one)}") for one in variants]
    return x509.CRLDistributionPoints([x509.DistributionPoint([one], None, None, None) for one in places])


def revocation_list(
    variant: str, issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey, serial_numbers: Sequence[int]
) -> bytes | None:
    """Return the list that certificates of a variant name, in DER; None: there is none.

    `serial_numbers` are theirs. Every list has one more entry, of a certificate that nobody shows: without it nobody
    could see whether serial numbers are compared. Raises `ValueError` for a variant that names no list.
    """
    if variant not in WITH_REVOCATION_LIST:
        raise ValueError(f"no list for {variant!r}; there are lists for {', '.join(WITH_REVOCATION_LIST)}")
    if variant == WITHOUT_LIST:
        return None
    listed = [x509.random_serial_number(), *(serial_numbers if variant != NOT_REVOKED else ())]
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - _DAY)
        .next_update(now + _LONG)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for serial_number in listed:
        entry = x509.RevokedCertificateBuilder().serial_number(serial_number).revocation_date(now - _DAY).build()
        builder = builder.add_revoked_certificate(entry)
    # The stranger has all of the list but the authority's key.
    signing_key = ec.generate_private_key(ec.SECP256R1()) if variant == REVOKED_BY_A_STRANGER else key
    return builder.sign(signing_key, hashes.SHA256()).public_bytes(Encoding.DER)
