"""What the next TLS-RPT reports will say: sessions by UTC day, policy domain and applied policy (RFC 8460, section 4).

Kept on disk, one file a day and domain: a restart in the middle of a day must not make it a better day.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.policy import Policy
from mta_sts_lab.reference.session import Destination, Unprotected
from mta_sts_lab.reference.store import JsonFolder

#: Days of domains. Beyond that the oldest are dropped, so that hostile input cannot fill memory or disk.
MOST_DAYS = 10_000

_DAY = 86400


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """The policy block of a report (RFC 8460, section 4.4). `type` is sts, tlsa or no-policy-found.

    `domain` is the TLSA base domain of a DANE policy; the others are about the recipient's domain.
    """

    type: str
    lines: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    domain: str = ""


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


@dataclass(slots=True)
class CountedDay:
    """One domain on one day. `begins` is in seconds since 1970; `id` is new for each, and names the report in time."""

    id: str
    domain: str
    begins: int
    policies: dict[AppliedPolicy, PolicyCounts] = field(default_factory=dict)

    @property
    def ends(self) -> int:
        """The last second of the day: 24:00 cannot be written (RFC 3339, section 5.6)."""
        return self.begins + _DAY - 1


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counted day as it stands on disk. A JSON object has no keys but strings, hence the lists of pairs."""

    id: str
    domain: str
    begins: int
    policies: tuple[tuple[AppliedPolicy, int, int, tuple[tuple[FailureKey, int], ...]], ...]


def applied(policy: Policy) -> AppliedPolicy:
    """Return the report's view of a policy: each of its lines, and its mx patterns."""
    return AppliedPolicy("sts", policy.lines, policy.mx)


class ReportCounts:
    """The counters since the last report; `now` is the virtual time. Days begin `zone_seconds` before UTC's: a flaw."""

    def __init__(
        self, directory: Path, now: Callable[[], float], log: Callable[[str], None], *, zone_seconds: int = 0
    ) -> None:
        self._kept = JsonFolder(directory, _Kept, "report counters", log)
        self._now = now
        self._zone_seconds = zone_seconds
        self._days: dict[tuple[int, str], CountedDay] = {}

    def load(self) -> None:
        """Read what an earlier life of the sender left."""
        for day in map(_day, self._kept.load()):
            known = self._days.setdefault((day.begins, day.domain), day)
            if known is not day:
                # The day was being reported when the process ended: one report says it all.
                _add(known, day)
                self.forget(day)
                self._write(known)

    def forget_ended_days(self) -> None:
        """Flaw: throw away what was counted before today."""
        for key, day in list(self._days.items()):
            if day.begins + _DAY <= self._now():
                self.forget(self._days.pop(key))

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        """Count a session in which TLS was as the policy wants it."""
        day = self._today(domain)
        day.policies.setdefault(policy, PolicyCounts()).successful += 1
        self._write(day)

    def failed(self, domain: str, policy: AppliedPolicy, failure: FailureKey) -> None:
        """Count a failure."""
        day = self._today(domain)
        counts = day.policies.setdefault(policy, PolicyCounts())
        counts.failed += 1
        counts.failures[failure] += 1
        self._write(day)

    def take(self) -> list[CountedDay]:
        """Return all counters and begin anew. They stay on disk until they are forgotten one by one."""
        taken, self._days = list(self._days.values()), {}
        return taken

    def forget(self, day: CountedDay) -> None:
        """Remove from disk what is reported, or need not be."""
        self._kept.remove(day.id)

    def _today(self, domain: str) -> CountedDay:
        begins = int(self._now() + self._zone_seconds) // _DAY * _DAY - self._zone_seconds
        known = self._days.get((begins, domain))
        if known is not None:
            return known
        if len(self._days) >= MOST_DAYS:
            self.forget(self._days.pop(next(iter(self._days))))
        self._days[begins, domain] = fresh = CountedDay(secrets.token_hex(12), domain, begins)
        return fresh

    def _write(self, day: CountedDay) -> None:
        self._kept.keep(day.id, _kept(day))


def _kept(day: CountedDay) -> _Kept:
    policies = tuple(
        (policy, one.successful, one.failed, tuple(one.failures.items())) for policy, one in day.policies.items()
    )
    return _Kept(day.id, day.domain, day.begins, policies)


def _day(kept: _Kept) -> CountedDay:
    policies = {
        policy: PolicyCounts(successful, failed, Counter(dict(failures)))
        for policy, successful, failed, failures in kept.policies
    }
    return CountedDay(kept.id, kept.domain, kept.begins, policies)


def _add(to: CountedDay, more: CountedDay) -> None:
    for policy, counts in more.policies.items():
        current = to.policies.setdefault(policy, PolicyCounts())
        current.successful += counts.successful
        current.failed += counts.failed
        current.failures.update(counts.failures)


#: Characters. RFC 8460, section 4.3.3 speaks of a short text.
LONGEST_REASON = 200


@dataclass(eq=False, repr=False)
class SessionTally:
    """Counts the sessions of one delivery under one policy. Without `counts` nothing is counted.

    `failures` is false where failures are nobody's business: under a policy of mode none (RFC 8461, section 6).
    """

    counts: ReportCounts | None
    domain: str
    policy: AppliedPolicy
    flaws: Flaws
    failures: bool = True
    _last: FailureKey | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._sessions = 0

    def under(self, policy: AppliedPolicy) -> SessionTally:
        """Return a tally of the same delivery for sessions under another policy."""
        return SessionTally(self.counts, self.domain, policy, self.flaws)

    def succeeded(self) -> None:
        """Note a session in which TLS was as the policy wants it."""
        self._session(None)

    def failed(self, result_type: str, mx_host: str = "", *, reason: str = "") -> None:
        """Note a failure before any connection: at discovery or at the MX match."""
        self._count(FailureKey(result_type, mx_host, reason=reason[:LONGEST_REASON]))

    def unprotected(self, to: Destination, failure: Unprotected) -> None:
        """Note a session that did not get the TLS it needs."""
        unfinished = failure.handshake and failure.verify_code is None
        if self.flaws.counts_failures_as_successes or (
            unfinished and self.flaws.counts_unfinished_handshakes_as_successes
        ):
            self._session(None)
            return
        reason = failure.reason[:LONGEST_REASON]
        self._session(FailureKey(failure.result_type, to.host, to.address, failure.local_address, reason))

    def close(self) -> None:
        """The delivery is over."""
        if self.flaws.counts_messages and self._sessions:
            self._count(self._last)

    def _session(self, failure: FailureKey | None) -> None:
        self._last = failure
        self._sessions += 1
        if not self.flaws.counts_messages:
            self._count(failure)

    def _count(self, failure: FailureKey | None) -> None:
        if self.counts is None:
            return
        if failure is None:
            self.counts.succeeded(self.domain, self.policy)
        elif self.failures:
            self.counts.failed(self.domain, self.policy, failure)
