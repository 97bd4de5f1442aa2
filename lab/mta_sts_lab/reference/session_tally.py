"""What one delivery adds to the report counters, and what the flaws of counting make of it (RFC 8460, section 4.2)."""

from __future__ import annotations

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report_counts import AppliedPolicy, FailureKey, ReportCounts
from mta_sts_lab.reference.session import Destination, Unprotected

#: Characters. RFC 8460, section 4.3.3 speaks of a short text.
LONGEST_REASON = 200


class SessionTally:
    """Counts the sessions of one delivery under one policy. Without `counts` nothing is counted.

    `failures` is false where failures are nobody's business: under a policy of mode none (RFC 8461, section 6).
    """

    def __init__(
        self,
        counts: ReportCounts | None,
        domain: str,
        policy: AppliedPolicy,
        flaws: Flaws,
        *,
        failures: bool = True,
    ) -> None:
        self._counts = counts
        self._domain = domain
        self._policy = policy
        self._flaws = flaws
        self._failures = failures
        self._last: FailureKey | None = None
        self._sessions = 0

    def succeeded(self) -> None:
        """Note a session in which TLS was as the policy wants it."""
        self._session(None)

    def failed(self, result_type: str, mx_host: str = "", *, reason: str = "") -> None:
        """Note a failure before any connection: at discovery or at the MX match."""
        self._count(FailureKey(result_type, mx_host, reason=reason[:LONGEST_REASON]))

    def unprotected(self, to: Destination, failure: Unprotected) -> None:
        """Note a session that did not get the TLS it needs."""
        unfinished = failure.handshake and failure.verify_code is None
        if self._flaws.counts_failures_as_successes or (
            unfinished and self._flaws.counts_unfinished_handshakes_as_successes
        ):
            self._session(None)
            return
        reason = failure.reason[:LONGEST_REASON]
        self._session(FailureKey(failure.result_type, to.host, to.address, failure.local_address, reason))

    def close(self) -> None:
        """The delivery is over."""
        if self._flaws.counts_messages and self._sessions:
            self._count(self._last)

    def _session(self, failure: FailureKey | None) -> None:
        self._last = failure
        self._sessions += 1
        if not self._flaws.counts_messages:
            self._count(failure)

    def _count(self, failure: FailureKey | None) -> None:
        if self._counts is None:
            return
        if failure is None:
            self._counts.succeeded(self._domain, self._policy)
        elif self._failures:
            self._counts.failed(self._domain, self._policy, failure)
