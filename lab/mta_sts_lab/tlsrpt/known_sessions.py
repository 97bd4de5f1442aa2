"""What a witness knows about the sessions of one policy domain, and which result types are right for which failure.

The lab was the other end of every session, so that it knows at most and at least what a report may say. The session
checks compare. Where RFC 8460 leaves the result type open, several are right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.tlsrpt.report import Failure, ParsedReport, Policy

COUNTED = (
    "reporters count sessions differently: one at least, and no more than the attempts that were seen; "
    "sts-lab docs ambiguities#what-is-a-session"
)

_PASS, _INFO, _WEAK = Grade.PASS, Grade.INFO, Grade.WEAK

#: Why a result type is only tolerated, by the type and its grade.
NOTES = MappingProxyType(
    {
        ("validation-failure", _INFO): "the definition speaks of support, the appendix of replies to STARTTLS"
        "; sts-lab docs ambiguities#type-for-starttls-refused",
        ("validation-failure", _WEAK): "certificate-not-trusted is explicit for a self-signed certificate"
        "; sts-lab docs ambiguities#type-for-self-signed",
    }
)

_ANY_IDENTITY = {"validation-failure": _PASS, "certificate-host-mismatch": _PASS, "sts-policy-invalid": _PASS}
_ANY_TRUST = {"certificate-not-trusted": _PASS, "validation-failure": _PASS}

#: For each problem, the result types that report it, and the grade of a report that uses that type.
RIGHT_RESULT_TYPES: Mapping[str, Mapping[str, Grade]] = MappingProxyType(
    {
        "starttls-not-offered": {"starttls-not-supported": _PASS},
        "starttls-refused": {"starttls-not-supported": _PASS, "validation-failure": _INFO},
        "handshake-broken": {"validation-failure": _PASS},
        "wrong-name": {"certificate-host-mismatch": _PASS},
        "expired": {"certificate-expired": _PASS},
        "untrusted": {"certificate-not-trusted": _PASS},
        "self-signed": {"certificate-not-trusted": _PASS, "validation-failure": _WEAK},
        "not-yet-valid": {**_ANY_TRUST, "certificate-expired": _PASS},
        "wrong-usage": _ANY_TRUST,
        "revoked": _ANY_TRUST,
        "weak-key": _ANY_TRUST,
        "mx-outside-policy": _ANY_IDENTITY,
        "policy-unreachable": {"sts-policy-fetch-error": _PASS},
        "policy-broken": {"sts-policy-invalid": _PASS},
        "policy-host-untrusted": {"sts-webpki-invalid": _PASS},
        "tlsa-mismatch": {
            "certificate-host-mismatch": _PASS,
            "validation-failure": _PASS,
            "tlsa-invalid": _PASS,
            "certificate-not-trusted": _PASS,
        },
        "tlsa-unusable": {"tlsa-invalid": _PASS},
        "dnssec-broken": {"dnssec-invalid": _PASS},
        "dane-mandatory": {"dane-required": _PASS},
    }
)


@dataclass(frozen=True, slots=True)
class Range:
    """From `least` to `most`, both included."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"no range: {self.least} to {self.most}")

    def __contains__(self, count: int) -> bool:
        return self.least <= count <= self.most

    def __str__(self) -> str:
        return f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class FailedSessions:
    """The sessions with one host at one address that failed by the rules of the policy.

    `hosts` are its names. An empty `address` is none, or any. `result_types` are right for these failures, and `most`
    is how many sessions there were at most.
    """

    hosts: frozenset[str]
    address: str
    result_types: frozenset[str]
    most: int


@dataclass(frozen=True, slots=True)
class KnownSessions:
    """What a witness saw of one policy domain in the time that a report covers.

    `attempts` are the connections and `failed` those that failed by the rules of the policy: ranges, because reporters
    count sessions differently. Nothing is compared with fields that are empty or None.
    """

    #: The recipient domain.
    policy_domain: str
    attempts: Range
    failed: Range
    #: Which policy types are right: more than one where the RFC leaves it open.
    policy_types: frozenset[str] = frozenset({"sts"})
    #: The lines of the MTA-STS policy that was in force. None: not known, or no policy could be quoted.
    policy_lines: tuple[str, ...] | None = None
    #: The lines of policies that were replaced within the time of the report: a block on one of them is right.
    earlier_policy_lines: tuple[tuple[str, ...], ...] = ()
    #: The lines of texts that were served and are no policy, or were published and not fetched: a block with
    #: sts-policy-invalid may quote them, and any block where no policy was in force.
    refused_policy_lines: tuple[tuple[str, ...], ...] = ()
    #: The sets of TLSA records that were published, one of which a block quotes; in presentation form. None: not known.
    tlsa_records: tuple[tuple[str, ...], ...] | None = None
    #: The hosts that the sender dialled; also right as policy-domain of a DANE policy or of none.
    mx_hosts: frozenset[str] = frozenset()
    #: What those hosts call themselves in their greeting and EHLO reply.
    mx_greetings: frozenset[str] = frozenset()
    sending_ips: frozenset[str] = frozenset()
    receiving_ips: frozenset[str] = frozenset()
    #: An entry with a result type of one of these has its host and address as well.
    failed_sessions: tuple[FailedSessions, ...] = ()
    #: How many sessions can be counted as successes: those in order, and those that went on after a failure.
    successes: int | None = None
    #: The result types that may stand in the report, each with the grade of using it (`RIGHT_RESULT_TYPES`).
    result_types: Mapping[str, Grade] = field(default_factory=dict)
    #: For a type that fits some sessions and is only tolerated for others: how many it fits, and the grade beyond that.
    fits: Mapping[str, tuple[int, Grade]] = field(default_factory=dict)
    #: For each way in which sessions failed for certain, the types that name it: one of them has to be reported.
    problems: tuple[frozenset[str], ...] = ()
    #: The grade where none of them is there although sessions failed: `info` where nothing obliges to report it.
    #: None: as the obligation's level says.
    absent: Grade | None = None
    #: Whether sessions under a cached policy may count either way; what was no attempt may not count at all.
    counters_are_free: bool = False

    def blocks(self, report: ParsedReport) -> tuple[Policy, ...]:
        """Return the blocks about the domain. For DANE and for no policy the name of an MX host is right too."""
        hosts, domain = set(map(a_labels, self.mx_hosts)), a_labels(self.policy_domain)
        named = ((policy, a_labels(policy.policy_domain or "")) for policy in report.policies)
        return tuple(
            policy
            for policy, name in named
            if name and (name == domain or (policy.policy_type in ("tlsa", "no-policy-found") and name in hosts))
        )

    def failures(self, report: ParsedReport) -> Iterator[Failure]:
        """Return the failures in those blocks."""
        return (failure for policy in self.blocks(report) for failure in policy.failures or ())


def right_result_types(*problems: str) -> Mapping[str, Grade]:
    """Return the result types for some problems together; of two grades for one type the better counts.

    Raises `KeyError` for a problem that `RIGHT_RESULT_TYPES` does not know.
    """
    found: dict[str, Grade] = {}
    order = (Grade.PASS, Grade.INFO, Grade.WEAK)
    for problem in problems:
        for name, grade in RIGHT_RESULT_TYPES[problem].items():
            found[name] = min(found.get(name, grade), grade, key=order.index)
    return found
