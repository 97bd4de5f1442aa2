"""What the tests give to the checks, and certificates as a careless administrator has them."""

from __future__ import annotations

import datetime

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from mta_sts_lab.policy_check import Given, GivenCertificate, GivenPolicy, GivenRecord
from mta_sts_lab.policy_check.certificates import read_certificates

NOW = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)

GOOD = b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.mx.example.com\nmax_age: 604800\n"
STS = b"v=STSv1; id=20240615T120000Z"
REPORTS = b"v=TLSRPTv1; rua=mailto:tls-reports@example.com"


def given(
    policy: bytes | None = GOOD,
    records: tuple[bytes, ...] = (),
    mx: tuple[str, ...] = (),
    certificates: tuple[GivenCertificate, ...] = (),
    authorities: tuple[trustme.CA, ...] = (),
    now: datetime.datetime = NOW,
) -> Given:
    return Given(
        now,
        GivenPolicy("mta-sts.txt", policy) if policy is not None else None,
        tuple(GivenRecord("--record", text) for text in records),
        mx,
        certificates,
        tuple(root for one in authorities for root in read_certificates(one.cert_pem.bytes())),
    )


def shows(
    host: str, authority: trustme.CA, *names: str, common_name: str | None = None, days: int = 90
) -> GivenCertificate:
    """Return what a host shows: a certificate for some names that is good from yesterday on."""
    begins = NOW - datetime.timedelta(days=1)
    leaf = authority.issue_cert(
        *names, common_name=common_name, not_before=begins, not_after=begins + datetime.timedelta(days=days)
    )
    octets = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    first, *chain = read_certificates(octets)
    assert first.public_bytes(Encoding.PEM)
    return GivenCertificate(f"{host}.pem", host, first, tuple(chain))


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in allowed for name in _USAGES})


def signed_chain(
    leaf: x509.ExtensionType | None = None, authority: x509.ExtensionType | None = None
) -> tuple[x509.Certificate, ...]:
    """Return a certificate for mail.example.com with an extension, and those above it up to the root.

    With an extension for it there is an authority in between.
    """
    found: list[x509.Certificate] = []
    above, key = "root", ec.generate_private_key(ec.SECP256R1())
    issuer = key
    for name, extension in (("root", None), *([("above", authority)] if authority else []), ("leaf", leaf)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(_common_name(name))
            .issuer_name(_common_name(above))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(NOW + datetime.timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca=name != "leaf", path_length=None), critical=True)
        )
        if name == "leaf":
            host = x509.SubjectAlternativeName([x509.DNSName("mail.example.com")])
            builder = builder.add_extension(host, critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=True)
        found.insert(0, builder.sign(issuer, hashes.SHA256()))
        above, issuer, key = name, key, ec.generate_private_key(ec.SECP256R1())
    return tuple(found)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
