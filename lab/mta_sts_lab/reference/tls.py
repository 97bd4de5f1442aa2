"""What the sender asks of TLS, as one SSL context a kind, and certificates looked at by hand for the flaws."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.policy import matches
from mta_sts_lab.reference.routing import literal_address


def covers(der: bytes, host: str) -> bool:
    """Whether a subjectAltName DNS-ID names the host (RFC 9525, section 6.3). The common name never counts."""
    return any(matches(name, host) for name in names_of(der))


def has_wildcard(der: bytes) -> bool:
    """Whether a subjectAltName DNS-ID of the certificate begins with a wildcard."""
    return any(name.startswith("*.") for name in names_of(der))


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


def names_of(der: bytes) -> list[str]:
    """The certificate's subjectAltName DNS-IDs; none if it has no such extension that can be read."""
    try:
        extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def limits_names(der: bytes) -> bool:
    """Whether an authority's certificate has name constraints."""
    extensions = x509.load_der_x509_certificate(der).extensions
    return any(isinstance(one.value, x509.NameConstraints) for one in extensions)


def path_length(der: bytes) -> int | None:
    """Return how many authorities may stand below this one; None: any number."""
    extensions = x509.load_der_x509_certificate(der).extensions
    return next((one.value.path_length for one in extensions if isinstance(one.value, x509.BasicConstraints)), None)


#: OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name.
_NO_CHECK_TIME = 0x200000

# OpenSSL's X509_V_ERR_*: what a verification says went wrong.
NO_REVOCATION_LIST = 3
REVOKED = 23
EXPIRED = 10
NOT_YET_VALID = 9
SELF_SIGNED = 18
UNTRUSTED = 20
PATH_TOO_LONG = 25
UNKNOWN_EXTENSION = 34
WRONG_NAME = 62


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a certificate: a verify code of OpenSSL and its text."""

    code: int
    text: str


@dataclass(eq=False, repr=False)
class TlsContexts:
    """The contexts of one sender: `https` towards policy hosts, the others towards MX hosts.

    `unverified` is for DANE: the version is right, and whoever uses it looks at the certificates.
    """

    ca_pem: str
    flaws: Flaws

    def __post_init__(self) -> None:
        self.verified = self._for_verified()
        self.opportunistic = unverified_context()
        self.unverified = self.verifying()
        self.unverified.check_hostname = False
        self.unverified.verify_mode = ssl.CERT_NONE
        self.https = self._for_policy_hosts()
        #: Flaw: what is tried after a broken handshake.
        self.older = unverified_context()
        _limit_to_old_versions(self.older)

    def server_name(self, host: str, domain: str = "", address: str = "") -> str | None:
        """The name for the client hello: the MX host's (RFC 8461, section 7.1). The address is for a flaw alone."""
        if self.flaws.names_address_as_server and address:
            return f"[{address}]"
        if literal_address(host) is not None:
            return None  # no server name at all: RFC 6066, section 3
        if self.flaws.names_domain_as_server and domain:
            return domain
        if self.flaws.ends_server_name_in_dot:
            return f"{host}."
        return None if self.flaws.sends_no_server_name else host

    @property
    def _names_another_server(self) -> bool:
        """Whether OpenSSL cannot compare the certificate with the server name, because a flaw sends another or none."""
        flaws = self.flaws
        no_host = flaws.sends_no_server_name or flaws.names_domain_as_server or flaws.names_address_as_server
        return no_host or flaws.ends_server_name_in_dot

    def dane_server_name(self, base_domain: str) -> str | None:
        """The name for the client hello under DANE: the TLSA base domain (RFC 7672, section 8.1)."""
        return None if self.flaws.sends_no_server_name_under_dane else base_domain

    def problem(self, chain: Sequence[bytes], host: str, domain: str = "") -> Problem | None:
        """Return what OpenSSL does not check because of a flaw and would refuse otherwise; None without flaws.

        Or what a flaw finds wrong that OpenSSL does not. The host's own certificate is the first of the chain.
        """
        flaws, der = self.flaws, chain[0]
        by_hand = self._names_another_server or flaws.accepts_untrusted
        if by_hand and not flaws.accepts_wrong_name and not covers(der, host):
            return Problem(WRONG_NAME, f"the certificate is not for {host}")
        names = names_of(der)
        if flaws.compares_certificates_by_case and not any(name == name.lower() for name in names):
            return Problem(WRONG_NAME, f"{host} is not among {', '.join(names)}")
        if flaws.reads_first_certificate_name_alone and not any(matches(name, host) for name in names[:1]):
            return Problem(WRONG_NAME, f"the certificate is for {names[0]}")
        if flaws.trusts_roots_alone and not self._is_of_a_root(der):
            return Problem(UNTRUSTED, "no root has signed the certificate")
        if flaws.refuses_name_constraints and any(map(limits_names, chain)):
            return Problem(UNKNOWN_EXTENSION, "unhandled critical extension")
        if flaws.counts_host_in_path_length and _is_too_long(chain):
            return Problem(PATH_TOO_LONG, "path length constraint exceeded")
        if flaws.compares_certificates_in_u_labels and "xn--" in host:
            return Problem(WRONG_NAME, f"the certificate is not for {host.encode('ascii').decode('idna')}")
        below_domain = host.partition(".")[2] == domain
        refuses = flaws.refuses_wildcard_certificates or (flaws.takes_wildcards_of_domain_alone and not below_domain)
        if refuses and has_wildcard(der):
            return Problem(WRONG_NAME, f"a wildcard is not {host}")
        if (flaws.accepts_expired or flaws.accepts_untrusted) and not begun(der):
            return Problem(NOT_YET_VALID, "the certificate is not yet valid")
        undated = flaws.accepts_untrusted or flaws.accepts_not_yet_valid
        if undated and not flaws.accepts_expired and expired(der):
            return Problem(EXPIRED, "the certificate has expired")
        return None

    def _is_of_a_root(self, der: bytes) -> bool:
        root = x509.load_pem_x509_certificate(self.ca_pem.encode())
        return x509.load_der_x509_certificate(der).issuer == root.subject

    def _for_verified(self) -> ssl.SSLContext:
        """TLS 1.2 or later, a certificate from a trusted root, unexpired, with a SAN for the host (RFC 8461, 4.2)."""
        context = self.verifying()
        flaws = self.flaws
        if flaws.accepts_expired or flaws.accepts_not_yet_valid:
            context.verify_flags |= _NO_CHECK_TIME
        if flaws.accepts_wrong_name or self._names_another_server:
            context.check_hostname = False
        if flaws.accepts_common_name:
            context.hostname_checks_common_name = True
        if flaws.accepts_untrusted:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if flaws.accepts_legacy_tls or flaws.lacks_modern_tls:
            _allow_legacy(context)
        if flaws.accepts_tls_1_1:
            _allow_legacy(context, ssl.TLSVersion.TLSv1_1)
        if flaws.accepts_null_ciphers:
            context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
        if flaws.accepts_sha1_signatures:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        _limit(context, flaws)
        return context

    def _for_policy_hosts(self) -> ssl.SSLContext:
        """As for MX hosts (RFC 8461, section 3.3)."""
        context = self.verifying()
        flaws = self.flaws
        if flaws.accepts_policy_host_expired or flaws.accepts_policy_host_not_yet_valid:
            context.verify_flags |= _NO_CHECK_TIME
        # What is left of two of these checks is in `certificate_flaws.refused_policy_host`.
        any_name = flaws.accepts_policy_host_wrong_name or flaws.accepts_bad_policy_host
        if any_name or flaws.accepts_policy_host_parent_domain:
            context.check_hostname = False
        if flaws.accepts_policy_host_common_name:
            context.hostname_checks_common_name = True
        if flaws.accepts_bad_policy_host:
            context.verify_mode = ssl.CERT_NONE
        return context

    def verifying(self) -> ssl.SSLContext:
        """Return a new context with nothing switched off."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # OpenSSL falls back to the common name where there is no SAN; RFC 8461 and RFC 9525 do not.
        context.hostname_checks_common_name = False
        context.load_verify_locations(cadata=self.ca_pem)
        return context


def _is_too_long(chain: Sequence[bytes]) -> bool:
    """Flaw: whether an authority has more certificates below it than its path length says, the host's among them."""
    limits = ((below, path_length(der)) for below, der in enumerate(chain))
    return any(limit is not None and below > limit for below, limit in limits)


def unverified_context() -> ssl.SSLContext:
    """Encryption against whoever only listens: any version, any certificate (RFC 9325, section 5.2 allows it here)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _allow_legacy(context)
    return context


def _limit(context: ssl.SSLContext, flaws: Flaws) -> None:
    """Flaws: leave out versions of TLS."""
    if flaws.lacks_tls_1_2:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if flaws.lacks_tls_1_3:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if flaws.lacks_modern_tls:
        _limit_to_old_versions(context)


def _limit_to_old_versions(context: ssl.SSLContext) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def _allow_legacy(context: ssl.SSLContext, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = oldest
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
