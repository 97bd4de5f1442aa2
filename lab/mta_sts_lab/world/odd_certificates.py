"""Certificates that the run's authority signed in spite of a defect: a name that does not fit, a chain that is none, a
use that is not a server's. And chains of authorities that may not sign everything, and have not done so, and
certificates that name a list of revoked ones.

No sound authority issues the former, and trustme knows neither such limits nor lists, so they are built with
`cryptography`.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from mta_sts_lab.model.world import ISSUED_UNSOUNDLY, WITH_REVOCATION_LIST
from mta_sts_lab.world.revocation_lists import distribution_points

_ORGANISATION = "MTA-STS lab"

#: Whose certificate it is where that is somebody else.
_ELSEWHERE = "mail.elsewhere.example"

#: An extension that nobody knows: below the lab's own arc of the tree of examples (2.999).
_UNKNOWN_EXTENSION = x509.UnrecognizedExtension(ObjectIdentifier("2.999.8461"), b"\x05\x00")

#: The type of a name of a service, SRVName (RFC 4985, section 2).
_SERVICE_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.7")

_LONG = datetime.timedelta(days=3650)
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs: a certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> Issuer:
        """Take up an authority. Raises `ValueError` for anything but PEM."""
        key = load_pem_private_key(key_pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate(certificate_pem), key)


@dataclass(frozen=True, slots=True)
class Host:
    """Whom a certificate is about: an MX host's name and its addresses."""

    name: str
    addresses: Sequence[str]

    @property
    def parent(self) -> str:
        """The name above its own."""
        return self.name.partition(".")[2]


#: The alternative names of a leaf that does not fit, by its variant.
_NAMES: Mapping[str, Callable[[Host], Sequence[x509.GeneralName]]] = {
    "partial-wildcard": lambda host: [x509.DNSName(f"{host.name[0]}*.{host.parent}")],
    "inner-wildcard": lambda host: [x509.DNSName(f"{host.name.split('.')[0]}.*.{host.parent.partition('.')[2]}")],
    "double-wildcard": lambda host: [x509.DNSName(f"*.*.{host.parent.partition('.')[2]}")],
    "bare-wildcard": lambda host: [x509.DNSName("*")],
    "wildcard-below": lambda host: [x509.DNSName(f"*.{host.name}")],
    "wildcard-above": lambda host: [x509.DNSName(f"*.{host.parent.partition('.')[2]}")],
    "sibling": lambda host: [x509.DNSName(f"sibling.{host.parent}")],
    "for-alias": lambda host: [x509.DNSName(f"alias.{host.parent}")],
    "address": lambda host: [x509.IPAddress(ipaddress.ip_address(one)) for one in host.addresses],
    "address-as-name": lambda host: [x509.DNSName(one) for one in host.addresses],
    "uri": lambda host: [x509.UniformResourceIdentifier(f"smtp://{host.name}")],
    "mailbox": lambda host: [x509.RFC822Name(f"postmaster@{host.name}")],
    "service-name": lambda host: [x509.OtherName(_SERVICE_NAME, _ia5_string(f"_smtp.{host.name}"))],
    "nul-in-name": lambda host: [x509.DNSName(f"{host.name}\0.{_ELSEWHERE}")],
    "cn-beside-other-name": lambda host: [x509.DNSName(_ELSEWHERE)],
    "cn-beside-address": lambda host: [x509.IPAddress(ipaddress.ip_address(one)) for one in host.addresses],
}

#: Their names, and those of the leaves and chains that are wrong otherwise.
ODD_CERTIFICATES = (
    *_NAMES,
    *ISSUED_UNSOUNDLY,
)

#: Those that are in order: the authorities in their chains are limited, and have kept to that.
LIMITED_CERTIFICATES = ("within-name-constraints", "path-at-its-limit")

#: All that trustme does not make.
BUILT_CERTIFICATES = (*ODD_CERTIFICATES, *LIMITED_CERTIFICATES, *WITH_REVOCATION_LIST)


def issue_odd(variant: str, host: Host, root: Issuer) -> tuple[bytes, bytes]:
    """Return the chain of one of `BUILT_CERTIFICATES`, and the leaf's key, as PEM.

    The leaf is first and the root is left out. Raises `ValueError` for another variant.
    """
    if variant not in BUILT_CERTIFICATES:
        raise ValueError(f"no odd certificate {variant!r}; there are {', '.join(BUILT_CERTIFICATES)}")
    above = list(_intermediates(variant, host, root))
    names = _NAMES[variant](host) if variant in _NAMES else [x509.DNSName(host.name)]
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if variant == "client-usage" else ExtendedKeyUsageOID.SERVER_AUTH
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName(names), False),
        (x509.ExtendedKeyUsage([usage]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
    ]
    if variant == "unknown-critical-extension":
        extensions.append((_UNKNOWN_EXTENSION, True))
    elif variant in WITH_REVOCATION_LIST:
        extensions.append((distribution_points(variant, host.name), False))
    common_name = host.name if variant.startswith("cn-") else f"an odd host: {variant}"
    issuer = above[-1] if above else root
    leaf = _signed_by(issuer, common_name, extensions)
    shown = leaf.certificate
    if variant == "sha1-signed":
        shown = _signed_with_sha1(shown, issuer)
    elif variant == "bad-signature":
        shown = _signed_for_another(shown, issuer)
    chain = [shown, *(one.certificate for one in reversed(above))]
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join(one.public_bytes(Encoding.PEM) for one in chain), key


def _intermediates(variant: str, host: Host, root: Issuer) -> Iterator[Issuer]:
    """Yield who stands between the root and the leaf, from above."""
    authority = (x509.BasicConstraints(ca=True, path_length=None), True)
    if variant == "leaf-as-issuer":
        yield _signed_by(root, "a host, and no authority", [(x509.BasicConstraints(ca=False, path_length=None), True)])
    elif variant == "path-too-long":
        first = _signed_by(root, "may sign leaves alone", [(x509.BasicConstraints(ca=True, path_length=0), True)])
        yield first
        yield _signed_by(first, "signed all the same", [authority])
    elif variant == "outside-name-constraints":
        elsewhere = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
        yield _signed_by(root, "may sign for elsewhere.example", [authority, (elsewhere, True)])
    elif variant == "within-name-constraints":
        these = x509.NameConstraints([x509.DNSName(host.parent)], None)
        yield _signed_by(root, "may sign for the host's domain alone", [authority, (these, True)])
    elif variant == "path-at-its-limit":
        first = _signed_by(root, "may have one below it", [(x509.BasicConstraints(ca=True, path_length=1), True)])
        yield first
        yield _signed_by(first, "may sign leaves alone", [(x509.BasicConstraints(ca=True, path_length=0), True)])
    elif variant == "excluded-by-name-constraints":
        all_but_these = x509.NameConstraints(None, [x509.DNSName(host.parent)])
        yield _signed_by(root, "may sign for nobody at the host's domain", [authority, (all_but_these, True)])
    elif variant == "expired-intermediate":
        yield _signed_by(root, "an authority of the past", [authority], ends=datetime.datetime.now(datetime.UTC) - _DAY)


def _signed_by(
    issuer: Issuer,
    common_name: str,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    ends: datetime.datetime | None = None,
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    # RFC 5280, appendix A.1: a common name has at most 64 characters.
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LONG)
        .not_valid_after(ends or now + _LONG)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Issuer(builder.sign(issuer.key, hashes.SHA256()), key)


#: AlgorithmIdentifiers of signatures, in DER: ecdsa-with-SHA256 (RFC 5758, section 3.2), ecdsa-with-SHA1 (RFC 3279,
#: section 2.2.3).
_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_WITH_SHA1 = bytes.fromhex("300906072a8648ce3d0401")


def _signed_with_sha1(certificate: x509.Certificate, issuer: Issuer) -> x509.Certificate:
    """Return a certificate signed anew with SHA-1, which `cryptography` does not do for certificates any more."""
    # The content of a TBSCertificate, behind a tag and a length of three octets.
    content = certificate.tbs_certificate_bytes[4:].replace(_WITH_SHA256, _WITH_SHA1, 1)
    to_be_signed = _der(0x30, content)
    signature = issuer.key.sign(to_be_signed, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - that is what is wrong with it
    return x509.load_der_x509_certificate(_der(0x30, to_be_signed + _WITH_SHA1 + _der(0x03, b"\x00" + signature)))


def _signed_for_another(certificate: x509.Certificate, issuer: Issuer) -> x509.Certificate:
    """Return a certificate with the issuer's signature of something else."""
    signature = issuer.key.sign(b"something else", ec.ECDSA(hashes.SHA256()))
    content = certificate.tbs_certificate_bytes + _WITH_SHA256 + _der(0x03, b"\x00" + signature)
    return x509.load_der_x509_certificate(_der(0x30, content))


def _ia5_string(text: str) -> bytes:
    """Return a string of ASCII in DER (X.680, IA5String)."""
    return _der(0x16, text.encode("ascii"))


def _der(tag: int, content: bytes) -> bytes:
    """Return an element in DER."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
