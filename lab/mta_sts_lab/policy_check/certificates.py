"""Reads certificates, and says why a sender would not accept one for a host."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from mta_sts_lab.policy_check.given import GivenCertificate
from mta_sts_lab.rfc.domain_names import matches

#: A certificate that ends sooner is worth a word.
SOON = datetime.timedelta(days=14)

_BEGIN = b"-----BEGIN CERTIFICATE-----"

#: What the parsers raise for certificates that are malformed or use what they do not know.
_UNREADABLE = (
    ValueError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
    crypto.Error,
)


def read_certificates(octets: bytes) -> tuple[Certificate, ...]:
    """Return the certificates of a file, PEM or DER, in their order. Raises `ValueError` if there is none to read."""
    try:
        if _BEGIN in octets:
            found = x509.load_pem_x509_certificates(octets)
        else:
            found = [x509.load_der_x509_certificate(octets)]
        for one in found:
            # The parser is lazy: what is malformed further inside shows only when it is asked for.
            _ = (one.not_valid_before_utc, one.not_valid_after_utc, one.extensions, one.subject, one.issuer)
            crypto.X509.from_cryptography(one).get_pubkey()
    except _UNREADABLE as error:
        if _BEGIN not in octets:
            raise ValueError("it is neither PEM (-----BEGIN CERTIFICATE-----) nor DER") from error
        raise ValueError(f"no certificate can be read from it: {error}") from error
    return tuple(found)


def faults_of(
    host: str, shown: GivenCertificate, now: datetime.datetime, roots: Sequence[Certificate]
) -> Iterator[str]:
    """Yield why a sender does not accept what a host shows. Without roots its issuer is not looked at."""
    leaf = shown.leaf
    if now > leaf.not_valid_after_utc:
        yield f"the certificate ended on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < leaf.not_valid_before_utc:
        yield f"the certificate begins on {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    names = dns_names(leaf)
    if not names:
        yield "the certificate has no DNS name in its subjectAltName; the common name does not count"
    elif not any(matches(name, host) for name in names):
        yield f"the certificate is for {', '.join(names[:5])}"
    if not _may_do_tls(leaf):
        yield "the certificate's key is not for TLS (keyUsage)"
    if not _serves(leaf):
        yield "the certificate is not for servers (extendedKeyUsage)"
    if leaf.issuer == leaf.subject:
        yield "the certificate is self-signed"
    elif roots:
        try:
            chain = _chain_to_a_root(shown, now, roots)
        except crypto.X509StoreContextError as error:
            yield f"the certificate leads to none of the trusted authorities: {error}"
        else:
            for one in chain[1:]:
                if not _serves(one):
                    name = one.subject.rfc4514_string()
                    yield f"the authority {name} above the certificate is not for servers (extendedKeyUsage)"


def dns_names(certificate: Certificate) -> tuple[str, ...]:
    """Return the DNS names of a certificate's subjectAltName."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))


def _may_do_tls(certificate: Certificate) -> bool:
    """Whether the key may be used in a handshake, by signing or by agreeing on a key (RFC 5280, section 4.2.1.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.key_encipherment or usage.key_agreement


def _serves(certificate: Certificate) -> bool:
    """Whether it may be used for servers; that of an authority, whether those below it may (section 4.2.1.12)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _chain_to_a_root(
    shown: GivenCertificate, now: datetime.datetime, roots: Sequence[Certificate]
) -> tuple[Certificate, ...]:
    """Return the certificates from the host's own up to a root. The dates of the first are told elsewhere.

    Raises `X509StoreContextError` with OpenSSL's reason if there is no such chain.
    """
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    inside = min(max(now, shown.leaf.not_valid_before_utc), shown.leaf.not_valid_after_utc)
    store.set_time(inside)
    chain = [crypto.X509.from_cryptography(one) for one in shown.chain]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(shown.leaf), chain)
    return tuple(one.to_cryptography() for one in context.get_verified_chain())
