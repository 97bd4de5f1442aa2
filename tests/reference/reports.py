"""What the tests of reports share: a mailbox beside the report host, and a key that is made once."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
from email.message import EmailMessage
from functools import cache
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mta_sts_lab.reference.report_counts import AppliedPolicy, CountedDay, FailureKey, PolicyCounts
from mta_sts_lab.reference.settings import Settings

from tests.reference.standin import MX2, QUICK, Internet, Mail

#: 2026-03-01.
DAY_BEGINS = 1772323200

WEB = "https://reports.there.example/v1/tls"
MAILBOX = "mailto:tls@box.example"


@cache
def dkim_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


def signing() -> Settings:
    """Quick settings with the tests' own key: making one costs more than most tests."""
    import dataclasses

    return dataclasses.replace(QUICK, dkim_key=dkim_key())


def ask(internet: Internet, rua: str = WEB, domain: str = "there.example") -> None:
    """Publish a TLS-RPT record. The mailbox domain `box.example` is at the second MX host."""
    internet.dns.zone[f"_smtp._tls.{domain}", "TXT"] = [f'"v=TLSRPTv1; rua={rua};"']
    internet.dns.zone["box.example", "MX"] = ["10 mx2.there.example."]
    internet.dns.zone["mx2.there.example", "A"] = [MX2]


def mailed(mail: Mail) -> EmailMessage:
    parsed = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def mailed_report(mail: Mail) -> dict[str, Any]:
    _, part = mailed(mail).iter_parts()
    decoded: dict[str, Any] = json.loads(gzip.decompress(part.get_content()))
    return decoded


def a_day(*result_types: str, policy: AppliedPolicy | None = None, number: int = 1) -> CountedDay:
    """A day with two successes, and so many failures of each type."""
    policy = policy or AppliedPolicy(
        "sts", ("version: STSv1", "mode: enforce", "mx: mx.there.example", "max_age: 99"), ("mx.there.example",)
    )
    counts = PolicyCounts(successful=2, failed=number * len(result_types))
    for result_type in result_types:
        counts.failures[FailureKey(result_type, "mx.there.example", "198.18.1.1", "198.18.2.1", "why")] = number
    return CountedDay("0123456789abcdef", "there.example", DAY_BEGINS, {policy: counts})


def copied(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
