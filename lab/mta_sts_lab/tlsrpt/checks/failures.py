"""What each entry of failure-details has to be, and how the counters agree with one another (RFC 8460, section 4.4)."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.addresses import is_uri
from mta_sts_lab.rfc.domain_names import is_domain
from mta_sts_lab.rfc.result_types import (
    CONNECTED_FAILURES,
    DANE_DISCOVERY_FAILURES,
    FITTING,
    RESULT_TYPES,
    STS_DISCOVERY_FAILURES,
)
from mta_sts_lab.tlsrpt import names
from mta_sts_lab.tlsrpt.content import UNKNOWN_YET
from mta_sts_lab.tlsrpt.departures import Departure, quoted
from mta_sts_lab.tlsrpt.registry import Scope, check
from mta_sts_lab.tlsrpt.report import Failure, ParsedReport, Policy

COUNTED_ONCE = (
    "reporters count sessions differently, but an entry stands for one at least; "
    "sts-lab docs ambiguities#what-is-a-session"
)
COUNT_OPEN = (
    "reporters count sessions differently; exact equality is only noted; sts-lab docs ambiguities#what-is-a-session"
)
FREE_COUNT = (
    "a session under a cached policy may be counted as a success while the policy could not be fetched; "
    "sts-lab docs ambiguities#session-under-cached-policy"
)

#: The longest thing that a reporter quotes in one piece is an SMTP reply line (RFC 5321, section 4.5.3.1.5), in octets.
LONGEST_REASON = 512

#: The obligations that failures under a policy of mode none break: those to refresh it, and those to connect.
NO_REFRESH_UNDER_NONE = "STS-6-02"
NO_FAILURE_UNDER_NONE = "STS-6-03"
UNDER_NONE = (NO_REFRESH_UNDER_NONE, NO_FAILURE_UNDER_NONE)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-14",))
def result_types_are_registered(parsed: ParsedReport) -> Iterator[Departure]:
    """result-type is one of the eleven that RFC 8460 registered, spelt just so."""
    for _, failure in _entries(parsed):
        if failure.result_type is not None and failure.result_type not in RESULT_TYPES:
            where = f"{failure.where}.result-type"
            expected = "one of the eleven registered result types"
            yield Departure("RPT-4.4-14", "unknown-result-type", where, expected, quoted(failure.result_type))


@check(scope=(Scope.CONTENT,), obligations=UNDER_NONE)
def no_failure_under_mode_none(parsed: ParsedReport) -> Iterator[Departure]:
    """A policy of mode none asks for nothing, so nothing fails under it (RFC 8461, section 6)."""
    for policy in parsed.policies:
        if policy.policy_type == "sts" and policy.lines_of("mode")[:1] == ("none",) and policy.failures:
            connected = policy.result_types - STS_DISCOVERY_FAILURES
            obligation = NO_FAILURE_UNDER_NONE if connected else NO_REFRESH_UNDER_NONE
            expected = "no failures under a policy of mode none"
            observed = ", ".join(quoted(kind) for kind in sorted(policy.result_types)) or "failures"
            yield Departure(obligation, "failure-under-none", policy.where, expected, observed)


def failures_under_an_unknown_mode(parsed: ParsedReport) -> bool:
    """Whether failures stand under an MTA-STS policy whose mode the report does not quote."""
    return any(one.policy_type == "sts" and one.failures and not one.lines_of("mode") for one in parsed.policies)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-14",))
def result_types_fit_policy(parsed: ParsedReport) -> Iterator[Departure]:
    """A failure of DANE stands under a DANE policy, one of MTA-STS under an MTA-STS policy."""
    for policy, failure in _entries(parsed):
        fitting = FITTING.get(policy.policy_type or "")
        if fitting and failure.result_type in RESULT_TYPES and failure.result_type not in fitting:
            note = "only the record of sessions shows whether the type of the policy or that of the result is wrong"
            where = f"{failure.where}.result-type"
            expected = f"a result type that the policy type {policy.policy_type} can have"
            observed = quoted(failure.result_type or "")
            yield Departure("RPT-4.4-14", "result-type-for-another-policy", where, expected, observed, Grade.INFO, note)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-15", "RPT-4.4-16", "RPT-4.4-18"))
def failures_name_their_hosts(parsed: ParsedReport) -> Iterator[Departure]:
    """Both addresses and the MX name are there wherever the result type shows that there was a connection."""
    noted = {departure.where for departure in parsed.departures}
    for _, failure in _entries(parsed) if parsed.complete else ():
        members = (
            ("RPT-4.4-15", "sending-mta-ip", failure.sending_mta_ip),
            ("RPT-4.4-16", "receiving-mx-hostname", failure.receiving_mx_hostname),
            ("RPT-4.4-18", "receiving-ip", failure.receiving_ip),
        )
        for obligation, name, value in members:
            where = f"{failure.where}.{name}"
            if value or where in noted:
                continue
            observed = "absent" if value is None else "an empty string"
            if failure.result_type in CONNECTED_FAILURES:
                yield Departure(obligation, "missing", where, "a string: there was a connection", observed)
            elif failure.result_type in ("certificate-host-mismatch", "validation-failure"):
                yield Departure(obligation, "perhaps-missing", where, "a string", observed, Grade.INFO, UNKNOWN_YET)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-15", "RPT-4.4-18", "RPT-4.4-22"))
def addresses_are_well_formed(parsed: ParsedReport) -> Iterator[Departure]:
    """IPv4 addresses are dotted decimal without leading zeros, IPv6 addresses as RFC 5952 writes them."""
    for _, failure in _entries(parsed):
        for obligation, name, text in (
            ("RPT-4.4-15", "sending-mta-ip", failure.sending_mta_ip),
            ("RPT-4.4-18", "receiving-ip", failure.receiving_ip),
        ):
            fault = names.address_fault(text) if text else ""
            where = f"{failure.where}.{name}"
            if fault == names.LEADING_ZEROS:
                expected = names.canonical(text or "")
                yield Departure("RPT-4.4-22", fault, where, expected, quoted(text or ""), also=(obligation,))
            elif fault:
                canonical = names.canonical(text or "")
                expected = "an IP address" if fault == names.NOT_AN_ADDRESS else canonical
                yield Departure(obligation, fault, where, expected, quoted(text or ""))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-16",))
def receiving_host_is_a_name(parsed: ParsedReport) -> Iterator[Departure]:
    """receiving-mx-hostname is a host name as an MX record gives it."""
    for _, failure in _entries(parsed):
        name = failure.receiving_mx_hostname
        if not name:
            continue
        address = names.address_fault(names.canonical(name)) == ""
        if address or not is_domain(name):
            where = f"{failure.where}.receiving-mx-hostname"
            yield Departure("RPT-4.4-16", "not-a-host-name", where, "the name in the MX record", quoted(name))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-20",))
def additional_information_is_a_uri(parsed: ParsedReport) -> Iterator[Departure]:
    """additional-information, where it is given, is a URI."""
    for _, failure in _entries(parsed):
        uri = failure.additional_information
        if uri and not is_uri(uri):
            where = f"{failure.where}.additional-information"
            yield Departure("RPT-4.4-20", "not-a-uri", where, "a URI", quoted(uri))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.3.1-05",))
def untrusted_certificate_has_a_reason(parsed: ParsedReport) -> Iterator[Departure]:
    """certificate-not-trusted comes with a failure-reason-code."""
    yield from _unexplained(parsed, "certificate-not-trusted", "RPT-4.3.1-05")


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.3.1-07",))
def validation_failure_has_a_reason(parsed: ParsedReport) -> Iterator[Departure]:
    """validation-failure comes with a failure-reason-code."""
    yield from _unexplained(parsed, "validation-failure", "RPT-4.3.1-07")


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.3.3-03",))
def reason_is_short(parsed: ParsedReport) -> Iterator[Departure]:
    """failure-reason-code is a short error code or text."""
    for _, failure in _entries(parsed):
        reason = failure.failure_reason_code or ""
        if len(reason) > LONGEST_REASON:
            where = f"{failure.where}.failure-reason-code"
            expected = f"{LONGEST_REASON} characters at most"
            yield Departure("RPT-4.3.3-03", "long-reason", where, expected, f"{len(reason)} characters")


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-19",))
def failures_count_sessions(parsed: ParsedReport) -> Iterator[Departure]:
    """failed-session-count is one at least."""
    for _, failure in _entries(parsed):
        if failure.failed_session_count == 0:
            where = f"{failure.where}.failed-session-count"
            yield Departure("RPT-4.4-19", "zero-sessions", where, "1 or more", "0", note=COUNTED_ONCE)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4-06",))
def failures_are_aggregated(parsed: ParsedReport) -> Iterator[Departure]:
    """Within one policy, two entries differ in more than their count."""
    for policy in parsed.policies:
        seen: dict[str, str] = {}
        for failure in policy.failures or ():
            first = seen.setdefault(failure.identity, failure.where)
            if first != failure.where:
                observed = f"the same as {first} but for the count"
                yield Departure("RPT-4-06", "not-aggregated", failure.where, "one entry for equal failures", observed)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4-05", "RPT-4.2.2-01"))
def failures_have_details(parsed: ParsedReport) -> Iterator[Departure]:
    """Failures that were counted have their entries, and entries have failures that were counted."""
    noted = {departure.where for departure in parsed.departures}
    for policy in parsed.policies if parsed.complete else ():
        where = f"{policy.where}.failure-details"
        if policy.failed and not policy.failures and where not in noted:
            observed = "absent" if policy.failures is None else "an empty array"
            yield Departure("RPT-4-05", "failures-without-details", where, f"{policy.failed} failures", observed)
        if policy.failed == 0:
            yield from _details_without_failures(policy)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.2.2-01",))
def failures_add_up(parsed: ParsedReport) -> Iterator[Departure]:
    """No entry has more sessions than failed at all, and together the entries account for all that failed."""
    for policy in parsed.policies if parsed.complete else ():
        counts = [failure.failed_session_count for failure in policy.failures or ()]
        known = [count for count in counts if count is not None]
        if not policy.failed or not known or len(known) < len(counts):
            continue
        where = f"{policy.where}.summary.total-failure-session-count"
        if max(known) > policy.failed:
            observed = f"{policy.failed}, and an entry of {max(known)}"
            expected = "at least as many as each entry has"
            yield Departure("RPT-4.2.2-01", "entry-above-total", where, expected, observed, Grade.INFO, COUNT_OPEN)
        elif sum(known) < policy.failed:
            observed = f"{policy.failed}, and entries that add up to {sum(known)}"
            expected = "an entry for every failed session"
            yield Departure("RPT-4.2.2-01", "total-above-entries", where, expected, observed, Grade.INFO, COUNT_OPEN)


def _entries(parsed: ParsedReport) -> Iterator[tuple[Policy, Failure]]:
    for policy in parsed.policies:
        for failure in policy.failures or ():
            yield policy, failure


def _unexplained(parsed: ParsedReport, result_type: str, obligation: str) -> Iterator[Departure]:
    for _, failure in _entries(parsed) if parsed.complete else ():
        if failure.result_type == result_type and not (failure.failure_reason_code or "").strip():
            where = f"{failure.where}.failure-reason-code"
            observed = "absent" if failure.failure_reason_code is None else "an empty string"
            yield Departure(obligation, "no-reason", where, "an error code or text", observed)


def _details_without_failures(policy: Policy) -> Iterator[Departure]:
    where = f"{policy.where}.summary.total-failure-session-count"
    before = STS_DISCOVERY_FAILURES | DANE_DISCOVERY_FAILURES
    counted = [failure for failure in policy.failures or () if failure.failed_session_count]
    for failure in counted[:1]:
        observed = f"0, and {failure.where} with {failure.failed_session_count}"
        expected = "the sessions of failure-details"
        if all(one.result_type in before for one in counted):
            yield Departure(
                "RPT-4.2.2-01", "details-without-failures", where, expected, observed, Grade.INFO, FREE_COUNT
            )
        else:
            yield Departure("RPT-4.2.2-01", "details-without-failures", where, expected, observed)
