"""A certificate looked at by hand, for flaws that switch one of OpenSSL's checks off and must keep the others. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from mta_sts_lab.reference.policy import matches


def covers(der: bytes, host: str) -> bool:
    """Whether a subjectAltName DNS-ID names the host (RFC 9525, section 6.3). The common name never counts."""
    return any(matches(name, host) for name in _names(der))


def has_wildcard(der: bytes) -> bool:
    """Whether a subjectAltName DNS-ID of the certificate begins with a wildcard."""
    return any(name.startswith("*.") for name in _names(der))


def begun(der: bytes) -> bool:
    """Whether the certificate's first day has come."""
    return x509.load_der_x509_certificate(der).not_valid_before_utc <= datetime.now(UTC)


def expired(der: bytes) -> bool:
    """Whether the certificate's last day has passed."""
    return x509.load_der_x509_certificate(der).not_valid_after_utc < datetime.now(UTC)


def self_signed(der: bytes) -> bool:
    """Whether the certificate is signed with its own key."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(der: bytes) -> list[str]:
    """The certificate's subjectAltName DNS-IDs; none if it has no such extension that can be read."""
    try:
        extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return extension.value.get_values_for_type(x509.DNSName)
