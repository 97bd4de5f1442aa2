"""The certificates of a run: one authority that the target trusts, and every way in which a certificate can be wrong.

Whatever a sound authority would sign is issued with trustme. Three variants are built with `cryptography`, because
trustme issues none of them: `self-signed`, `cn-only`, which has no subjectAltName at all (trustme would add an empty
one), and `capitals` (trustme would write small letters). What no sound authority signs is in `odd_certificates`.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mta_sts_lab.model.world import CERTIFICATE_VARIANTS
from mta_sts_lab.world.odd_certificates import BUILT_CERTIFICATES, Host, Issuer, issue_odd
from mta_sts_lab.world.revocation_lists import revocation_list

#: A certificate of another host than the one that shows it names this one, unless the caller says otherwise.
WRONG_NAME = "mail.elsewhere.example"

#: The address in a certificate for addresses, unless the caller says whose it is.
_SOME_ADDRESS = "198.18.0.1"

#: Targets' clocks are moved forward by up to 400 days, and what is valid must stay so.
_LONG = datetime.timedelta(days=3650)

#: `not-yet-valid` must survive the same move of the clock, twice over.
_FAR_AHEAD = datetime.timedelta(days=800)

_ORGANISATION = "MTA-STS lab"

#: What OpenSSL's server name callback returns: nothing, or the number of the alert that ends the handshake.
SniCallback = Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a server shows and proves: a chain, the leaf first and the root left out, and the leaf's private key."""

    variant: str
    chain_pem: bytes
    key_pem: bytes


class Authority:
    """The run's certificate authority.

    Targets are given its certificate and trust it for MX hosts and policy hosts alike. A second authority, which nobody
    trusts, signs what is `untrusted`.
    """

    def __init__(self, authority: trustme.CA) -> None:
        self._trusted = authority
        self._untrusted = trustme.CA(organization_name=_ORGANISATION, organization_unit_name="nobody trusts this one")
        self._intermediate = authority.create_child_ca()
        #: A file that takes the secrets of every TLS session with a certificate of this authority; None: nobody asks.
        self.key_log: Path | None = None
        self._issued: dict[tuple[str, str, str], Credentials] = {}

    @classmethod
    def create(cls) -> Authority:
        """Make a new authority with a new key."""
        return cls(trustme.CA(organization_name=_ORGANISATION, organization_unit_name="the authority of this run"))

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> Authority:
        """Take up an authority that `create` made elsewhere. Raises `ValueError` for anything but PEM."""
        return cls(trustme.CA.from_pem(certificate_pem, key_pem))

    @property
    def certificate_pem(self) -> bytes:
        """The root certificate, for a target's trust store."""
        return self._trusted.cert_pem.bytes()

    @property
    def private_key_pem(self) -> bytes:
        """The root's private key: it never leaves the run's own directory."""
        return self._trusted.private_key_pem.bytes()

    def credentials(
        self,
        variant: str,
        host_name: str,
        wrong_name: str = WRONG_NAME,
        addresses: Sequence[str] = (_SOME_ADDRESS,),
    ) -> Credentials:
        """Return the certificate of that variant for a host, always the same one for the same names.

        Of `addresses` only those of the first call count: a host keeps its own.

        Raises `ValueError` for a variant that is not in `model.world.CERTIFICATE_VARIANTS`.
        """
        if variant not in CERTIFICATE_VARIANTS:
            raise ValueError(f"no certificate variant {variant!r}; there are {', '.join(CERTIFICATE_VARIANTS)}")
        key = (variant, host_name, wrong_name if variant == "wrong-name" else "")
        if key not in self._issued:
            if variant in BUILT_CERTIFICATES:
                root = Issuer.load(self.certificate_pem, self.private_key_pem)
                self._issued[key] = Credentials(variant, *issue_odd(variant, Host(host_name, addresses), root))
            else:
                self._issued[key] = self._issue(variant, host_name, wrong_name)
        return self._issued[key]

    def revocation_list(self, variant: str) -> bytes | None:
        """Return the list that the certificates of a variant name, in DER; None: there is none.

        trustme's authorities may sign such lists: their key usage has cRLSign (RFC 5280, section 4.2.1.3). Raises
        `ValueError` for a variant that names no list.
        """
        issued = [credentials.chain_pem for (known, *_), credentials in self._issued.items() if known == variant]
        root = Issuer.load(self.certificate_pem, self.private_key_pem)
        serial_numbers = [x509.load_pem_x509_certificate(chain).serial_number for chain in issued]
        return revocation_list(variant, root.certificate, root.key, serial_numbers)

    def with_issuer(self, credentials: Credentials) -> Credentials:
        """Return the same credentials with the certificate of their root behind the chain."""
        root = self._untrusted if credentials.variant == "untrusted" else self._trusted
        return replace(credentials, chain_pem=credentials.chain_pem + root.cert_pem.bytes())

    def certificate_of(self, subject: str, host_name: str, shown: str) -> x509.Certificate:
        """Return the certificate that a TLSA record of a host is about; see `model.world.TLSA_SUBJECTS`.

        `shown` is the variant that the host shows.
        """
        match subject:
            case "topmost":
                shown_chain = self.credentials(shown, host_name).chain_pem
                return x509.load_pem_x509_certificates(shown_chain)[-1]
            case "authority":
                pem = self.certificate_pem
            case "stranger":
                pem = self._untrusted.cert_pem.bytes()
            case "nobody":
                pem = self.credentials("self-signed", f"nobody.{host_name}").chain_pem
            case _:
                pem = self.credentials(shown if subject == "shown" else subject, host_name).chain_pem
        return x509.load_pem_x509_certificate(pem)

    def _issue(self, variant: str, host_name: str, wrong_name: str) -> Credentials:
        if variant == "self-signed":
            return _self_signed(host_name)
        if variant == "cn-only":
            return self._below_root(variant, host_name, ())
        if variant == "capitals":
            return self._below_root(variant, host_name, (host_name.upper(),))
        now = datetime.datetime.now(datetime.UTC)
        begins, ends = now - _LONG, now + _LONG
        issuer, name = self._trusted, host_name
        if variant == "expired":
            ends = now - datetime.timedelta(days=1)
        elif variant == "not-yet-valid":
            begins = now + _FAR_AHEAD
        elif variant == "wrong-name":
            name = wrong_name
        elif variant == "wildcard":
            name = "*." + host_name.partition(".")[2]
        elif variant == "for-domain":
            name = host_name.partition(".")[2]
        elif variant == "untrusted":
            issuer = self._untrusted
        elif variant == "below-intermediate":
            issuer = self._intermediate
        elif variant == "missing-intermediate":
            # One that is shown nowhere: a sender that remembers those it has seen cannot fill the gap lawfully.
            issuer = self._trusted.create_child_ca()
        names = [name] if variant != "hundred-names" else [*(f"host{number}.{name}" for number in range(99)), name]
        key_type = trustme.KeyType.RSA if variant == "rsa" else trustme.KeyType.ECDSA
        leaf = issuer.issue_cert(
            *names, organization_name=_ORGANISATION, not_before=begins, not_after=ends, key_type=key_type
        )
        # For `missing-intermediate` the rest of the chain is what is withheld.
        shown = leaf.cert_chain_pems if variant == "below-intermediate" else leaf.cert_chain_pems[:1]
        return Credentials(variant, b"".join(pem.bytes() for pem in shown), leaf.private_key_pem.bytes())

    def _below_root(self, variant: str, host_name: str, names: Sequence[str]) -> Credentials:
        """Return a leaf with just these alternative names; without any it has no such extension."""
        signing_key = load_pem_private_key(self.private_key_pem, password=None)
        assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
        root = x509.load_pem_x509_certificate(self.certificate_pem)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _leaf_builder(_named(host_name), root.subject, key.public_key(), root.public_key())
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        return _signed(variant, builder, key, signing_key)


def server_context(
    credentials: Credentials,
    alpn: Sequence[str] | None = None,
    sni_callback: SniCallback | None = None,
    *,
    null_ciphers: bool = False,
) -> ssl.SSLContext:
    """Return a server's TLS context that shows these credentials, for TLS 1.2 and 1.3.

    With `null_ciphers` it takes nothing but suites that encrypt nothing.

    Sessions are never resumed: a resumed session would show no certificate, whatever a later step says it should show.
    """
    context = context_without_certificate(alpn, sni_callback)
    if credentials.variant == "sha1-signed":
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # at any other level OpenSSL does not load it
    if null_ciphers:
        encrypt_nothing(context)
    _load_chain(context, credentials)
    return context


def encrypt_nothing(context: ssl.SSLContext) -> None:
    """Leave a context nothing but cipher suites that encrypt nothing, of which TLS 1.3 has none."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("eNULL:@SECLEVEL=0")


def context_without_certificate(
    alpn: Sequence[str] | None = None, sni_callback: SniCallback | None = None
) -> ssl.SSLContext:
    """Return a server's TLS context whose server name callback has to choose the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if sni_callback is not None:
        context.sni_callback = sni_callback
    return context


def _load_chain(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Load from a file of our own that is gone again at once: the standard library takes nothing but file names.

    Where the kernel has files without a name (Linux) it is one of those: whoever kills the lab leaves no key behind.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("credentials")
        path, remove = f"/proc/self/fd/{descriptor}", False
    else:
        descriptor, path = tempfile.mkstemp(suffix=".pem")
        remove = True
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(credentials.key_pem + credentials.chain_pem)
            file.flush()
            context.load_cert_chain(path)
    finally:
        if remove:
            os.unlink(path)


def _self_signed(host_name: str) -> Credentials:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _leaf_builder(_named(host_name), _named(host_name), key.public_key(), key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(host_name)]), critical=False
    )
    return _signed("self-signed", builder, key, key)


def _named(host_name: str) -> x509.Name:
    # RFC 5280, appendix A.1: a common name has at most 64 characters.
    common_name = x509.NameAttribute(NameOID.COMMON_NAME, host_name[:64])
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION), common_name])


def _leaf_builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, issuer_key: object
) -> x509.CertificateBuilder:
    """Return a server's leaf as RFC 5280, section 4.2 wants it, but for its names."""
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LONG)
        .not_valid_after(now + _LONG)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _signed(
    variant: str,
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
) -> Credentials:
    certificate = builder.sign(signing_key, hashes.SHA256())
    return Credentials(
        variant,
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
