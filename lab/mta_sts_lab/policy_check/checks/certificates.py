"""Checks of the certificates that hosts show (RFC 8461, sections 3.3 and 4.2)."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.policy_check.certificates import SOON, faults_of
from mta_sts_lab.policy_check.given import Finding, Given, GivenCertificate, Level
from mta_sts_lab.policy_check.registry import Scope, check


@check(scope=Scope.CERTIFICATES)
def certificate_verifies(given: Given) -> Iterator[Finding]:
    """Senders accept what each host shows."""
    for host, shown in given.shown():
        for fault in faults_of(host, shown, given.now, given.roots):
            yield Finding(Level.PROBLEM, shown.source, f"{host}: {fault}", _effect(given, host))


@check(scope=Scope.CERTIFICATES)
def certificate_lasts(given: Given) -> Iterator[Finding]:
    """No certificate ends within two weeks."""
    for host, shown in given.shown():
        left = shown.leaf.not_valid_after_utc - given.now
        if given.now <= shown.leaf.not_valid_after_utc and left < SOON:
            what = f"{host}: the certificate ends on {shown.leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            yield Finding(Level.ADVICE, shown.source, what, "Renew it now.")


@check(scope=Scope.CERTIFICATES)
def certificate_is_of_a_host(given: Given) -> Iterator[Finding]:
    """Each certificate is of an MX host that was named, or of a policy host."""
    for certificate in given.certificates:
        if not certificate.host and not given.hosts:
            yield _unused(certificate, "it is of no host: name the MX hosts, or write HOST=FILE")
        elif given.hosts and not certificate.host.startswith("mta-sts."):
            for host, shown in given.shown():
                if shown is certificate and host not in given.hosts:
                    yield _unused(certificate, f"{host} is none of the MX hosts that you named")


def _unused(certificate: GivenCertificate, what: str) -> Finding:
    return Finding(Level.ADVICE, certificate.source, what, "The certificate says nothing about your mail then.")


def _effect(given: Given, host: str) -> str:
    if host.startswith("mta-sts."):
        return "Senders cannot fetch the policy (RFC 8461, section 3.3)."
    mode = given.read.mode if given.read and given.read.valid else ""
    return {
        "enforce": "Mail to this host waits.",
        "testing": "Senders report it now, and mail to this host waits once the mode is enforce.",
        "none": "Nothing, while the mode is none.",
    }.get(mode, "Mail to this host waits under a policy of mode enforce.")
