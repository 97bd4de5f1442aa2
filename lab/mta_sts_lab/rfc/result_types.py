"""The result types of TLS-RPT (RFC 8460, section 4.3; the IANA registry has the same eleven) and the policy types."""

from __future__ import annotations

POLICY_TYPES = ("sts", "tlsa", "no-policy-found")

#: Each result type, and the obligation that defines it.
RESULT_TYPES = {
    "starttls-not-supported": "RPT-4.3.1-01",
    "certificate-host-mismatch": "RPT-4.3.1-02",
    "certificate-expired": "RPT-4.3.1-03",
    "certificate-not-trusted": "RPT-4.3.1-04",
    "validation-failure": "RPT-4.3.1-06",
    "tlsa-invalid": "RPT-4.3.2.1-01",
    "dnssec-invalid": "RPT-4.3.2.1-02",
    "dane-required": "RPT-4.3.2.1-03",
    "sts-policy-fetch-error": "RPT-4.3.2.2-01",
    "sts-policy-invalid": "RPT-4.3.2.2-02",
    "sts-webpki-invalid": "RPT-4.3.2.2-03",
}

#: Failures to learn an MTA-STS policy: there may be no policy to quote, and no connection yet.
STS_DISCOVERY_FAILURES = frozenset({"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"})

#: The same for DANE.
DANE_DISCOVERY_FAILURES = frozenset({"tlsa-invalid", "dnssec-invalid", "dane-required"})

#: Failures that nobody can have without a connection.
CONNECTED_FAILURES = frozenset({"starttls-not-supported", "certificate-expired", "certificate-not-trusted"})

#: The result types that can stand under each policy type.
FITTING = {
    "sts": frozenset(RESULT_TYPES) - DANE_DISCOVERY_FAILURES,
    "tlsa": frozenset(RESULT_TYPES) - STS_DISCOVERY_FAILURES,
    "no-policy-found": frozenset(RESULT_TYPES) - {"tlsa-invalid", "dnssec-invalid"},
}

#: What each result type means, in words for people.
RESULT_MEANINGS = {
    "starttls-not-supported": "the host did not offer STARTTLS",
    "certificate-host-mismatch": "the certificate is for another host name",
    "certificate-expired": "the certificate had expired",
    "certificate-not-trusted": "the certificate has no trusted issuer",
    "validation-failure": "TLS failed for another reason",
    "tlsa-invalid": "the TLSA records cannot be used",
    "dnssec-invalid": "the DNS answers failed DNSSEC validation",
    "dane-required": "the sender demands DANE and found no TLSA records",
    "sts-policy-fetch-error": "the MTA-STS policy could not be fetched",
    "sts-policy-invalid": "the MTA-STS policy has an error in it",
    "sts-webpki-invalid": "the certificate of the policy host is not valid",
}
