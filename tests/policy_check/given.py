"""What the tests give to the checks, and certificates as a careless administrator has them."""

from __future__ import annotations

import datetime

import trustme
from cryptography.hazmat.primitives.serialization import Encoding
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
