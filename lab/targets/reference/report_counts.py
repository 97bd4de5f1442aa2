"""What the next TLS-RPT report will say: sessions by recipient domain and applied policy (RFC 8460, section 4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lab.targets.reference.policy import Policy
from lab.targets.reference.session import Destination, Unprotected

#: Domains. Beyond that the oldest are dropped, so that hostile input cannot fill the memory.
MOST_DOMAINS = 10_000


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """The policy block of a report (RFC 8460, section 4.4). `type` is sts or no-policy-found."""

    type: str
    lines: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()


#: No policy was found for the domain.
NO_POLICY = AppliedPolicy("no-policy-found")


@dataclass(frozen=True, slots=True)
class FailureKey:
    """Failures that agree in all of this are counted in one entry (RFC 8460, section 4.3)."""

    result_type: str
    mx_host: str = ""
    receiving_ip: str = ""
    sending_ip: str = ""
    reason: str = ""


@dataclass(slots=True)
class PolicyCounts:
    """The sessions under one policy."""

    successful: int = 0
    failed: int = 0
    failures: Counter[FailureKey] = field(default_factory=Counter)


def applied(policy: Policy) -> AppliedPolicy:
    """Return the report's view of a policy: each of its lines, and its mx patterns."""
    return AppliedPolicy("sts", policy.lines, policy.mx)


class ReportCounts:
    """The counters since the last report, by policy domain."""

    def __init__(self) -> None:
        self._domains: dict[str, dict[AppliedPolicy, PolicyCounts]] = {}

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        """Count a session in which TLS was as the policy wants it."""
        self._of(domain, policy).successful += 1

    def failed(
        self, domain: str, policy: AppliedPolicy, result_type: str, mx_host: str = "", *, reason: str = ""
    ) -> None:
        """Count a failure before any connection: at discovery or at the MX match."""
        self._count(domain, policy, FailureKey(result_type, mx_host, reason=reason[:200]))

    def unprotected(self, domain: str, policy: AppliedPolicy, to: Destination, failure: Unprotected) -> None:
        """Count a session that did not get the TLS it needs."""
        key = FailureKey(failure.result_type, to.host, to.address, failure.local_address, failure.reason[:200])
        self._count(domain, policy, key)

    def take(self) -> dict[str, dict[AppliedPolicy, PolicyCounts]]:
        """Return all counters and begin anew."""
        taken, self._domains = self._domains, {}
        return taken

    def put_back(self, domain: str, counts: dict[AppliedPolicy, PolicyCounts]) -> None:
        """Add counters of a report that could not be delivered, so that the next one carries them."""
        for policy, old in counts.items():
            current = self._of(domain, policy)
            current.successful += old.successful
            current.failed += old.failed
            current.failures.update(old.failures)

    def _count(self, domain: str, policy: AppliedPolicy, key: FailureKey) -> None:
        counts = self._of(domain, policy)
        counts.failed += 1
        counts.failures[key] += 1

    def _of(self, domain: str, policy: AppliedPolicy) -> PolicyCounts:
        if domain not in self._domains and len(self._domains) >= MOST_DOMAINS:
            self._domains.pop(next(iter(self._domains)))
        return self._domains.setdefault(domain, {}).setdefault(policy, PolicyCounts())
