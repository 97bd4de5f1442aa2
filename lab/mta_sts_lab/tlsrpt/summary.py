"""What several reports say together: which failures, at which host, why, how often; and each domain in figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.rfc.result_types import RESULT_MEANINGS
from mta_sts_lab.tlsrpt.names import canonical
from mta_sts_lab.tlsrpt.report import Failure, Policy, Report

#: What stands for failures that are counted in a summary and have no entry in failure-details.
NO_DETAILS = "no details given"


@dataclass(frozen=True, slots=True)
class FailureSum:
    """Failures of one kind at one host. `sessions` is None where no report says how many they were."""

    domain: str
    policy_type: str
    result_type: str
    meaning: str
    host: str
    reason: str
    sessions: int | None
    addresses: tuple[str, ...]
    senders: tuple[str, ...]
    days: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DomainSum:
    """The sessions of one policy domain under one type of policy.

    `successful` and `failed` add up what is stated; `uncounted` are the blocks of reports in which one of the two is
    absent or no number.
    """

    domain: str
    policy_type: str
    successful: int
    failed: int
    uncounted: int
    reports: int
    senders: tuple[str, ...]
    days: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What some reports say together, the most frequent failure first."""

    reports: int
    senders: tuple[str, ...]
    days: tuple[str, ...]
    domains: tuple[DomainSum, ...]
    failures: tuple[FailureSum, ...]


@dataclass(slots=True)
class _Sum:
    sessions: int | None = None
    successful: int = 0
    uncounted: int = 0
    reports: int = 0
    addresses: set[str] = field(default_factory=set)
    senders: set[str] = field(default_factory=set)
    days: set[str] = field(default_factory=set)

    def add(self, sessions: int | None, report: Report) -> None:
        if sessions is not None:
            self.sessions = (self.sessions or 0) + sessions
        self.senders.add(sender_of(report))
        self.days.add(day_of(report))


def summarize(reports: Iterable[Report]) -> Summary:
    """Add up reports. A report that came twice has to be left out before."""
    failures: dict[tuple[str, ...], _Sum] = {}
    domains: dict[tuple[str, str], _Sum] = {}
    known = list(reports)
    for report in known:
        in_report: set[tuple[str, str]] = set()
        for policy in report.policies:
            key = (a_labels(policy.policy_domain or "") or "?", policy.policy_type or "?")
            total = domains.setdefault(key, _Sum())
            total.add(policy.failed, report)
            total.successful += policy.successful or 0
            total.uncounted += None in (policy.successful, policy.failed)
            total.reports += key not in in_report
            in_report.add(key)
            for kind, sessions, address in _kinds(policy):
                one = failures.setdefault((*key, *kind), _Sum())
                one.add(sessions, report)
                one.addresses.update([address] if address else [])
    rows = [
        FailureSum(
            domain, policy_type, result, RESULT_MEANINGS.get(result, ""), host, reason, one.sessions, *_sorted(one)
        )
        for (domain, policy_type, result, host, reason), one in failures.items()
    ]
    return Summary(
        reports=len(known),
        senders=tuple(sorted({sender_of(report) for report in known})),
        days=tuple(sorted({day_of(report) for report in known})),
        domains=tuple(
            DomainSum(domain, kind, one.successful, one.sessions or 0, one.uncounted, one.reports, *_sorted(one)[1:])
            for (domain, kind), one in sorted(domains.items())
        ),
        failures=tuple(sorted(rows, key=lambda row: (-(row.sessions or 0), row.domain, row.result_type, row.host))),
    )


def day_of(report: Report) -> str:
    """Return the day that a report is about; from and to, where it is not one day."""
    start, end = report.range
    if start is None or end is None:
        return "?"
    seconds = (end - start).total_seconds()
    first, last = f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}"
    return first if 0 <= seconds <= 86400 else f"{first} to {last}"


def sender_of(report: Report) -> str:
    """Return the name of the organization that made a report."""
    return report.organization_name or report.contact_info or "?"


def host_of(failure: Failure) -> str:
    """Return the receiving host of a failure, by its name or else by its address."""
    return a_labels(failure.receiving_mx_hostname or failure.receiving_mx_helo or "") or failure.receiving_ip or ""


def _kinds(policy: Policy) -> Iterator[tuple[tuple[str, str, str], int | None, str]]:
    """Yield result type, host and reason of each failure of a block, its count and its address."""
    entries = policy.failures or ()
    for failure in entries:
        kind = (failure.result_type or "?", host_of(failure), failure.failure_reason_code or "")
        yield kind, failure.failed_session_count, canonical(failure.receiving_ip or "")
    counts = [failure.failed_session_count for failure in entries]
    rest = (policy.failed or 0) - sum(count or 0 for count in counts)
    if rest > 0 and None not in counts:
        yield (NO_DETAILS, "", ""), rest, ""


def _sorted(one: _Sum) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return tuple(sorted(one.addresses)), tuple(sorted(one.senders)), tuple(sorted(one.days))
