"""Whether addresses, hosts and per-host counts in failure-details are those of real sessions (RFC 8460, section 4.4).

It is not enough that a host, an address and a failure each occurred somewhere: they must belong to the same session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.rfc.result_types import RESULT_TYPES
from mta_sts_lab.tlsrpt.departures import Departure, listed, quoted
from mta_sts_lab.tlsrpt.known_sessions import COUNTED, FailedSessions, KnownSessions
from mta_sts_lab.tlsrpt.names import canonical
from mta_sts_lab.tlsrpt.registry import Scope, session_check
from mta_sts_lab.tlsrpt.report import Failure, ParsedReport

#: A reply code and what joins it to the name behind it.
_HELLO = re.compile(r"(?m)^\d{3}[ -]")

WHOLE = "the report quotes the host's whole reply; RFC 8460, section 4.4, may also mean the name in it alone"


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-15", "RPT-4.4-18"))
def addresses_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """sending-mta-ip and receiving-ip are addresses of sessions that there were; absent is judged elsewhere."""
    sending, receiving = (frozenset(map(canonical, ips)) for ips in (known.sending_ips, known.receiving_ips))
    for failure in known.failures(report):
        for obligation, name, reported, right in (
            ("RPT-4.4-15", "sending-mta-ip", failure.sending_mta_ip, sending),
            ("RPT-4.4-18", "receiving-ip", failure.receiving_ip, receiving),
        ):
            if reported and right and canonical(reported) not in right:
                where = f"{failure.where}.{name}"
                yield Departure(obligation, "address-untrue", where, listed(map(quoted, right)), quoted(reported))


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-16",))
def receiving_hosts_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """receiving-mx-hostname is a host that was dialled."""
    hosts = frozenset(map(a_labels, known.mx_hosts))
    for failure in known.failures(report):
        reported = failure.receiving_mx_hostname
        if reported and hosts and a_labels(reported) not in hosts:
            where = f"{failure.where}.receiving-mx-hostname"
            yield Departure("RPT-4.4-16", "host-untrue", where, listed(map(quoted, hosts)), quoted(reported))


@session_check(scope=(Scope.CONTENT,), obligations=(*RESULT_TYPES.values(), "RPT-4.4-16", "RPT-4.4-18"))
def failures_name_the_right_host(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Host, address and result type of an entry are those of sessions that there were, all three together.

    Other checks find a host or an address that no session had, and a type that fits no failure.
    """
    for policy in known.blocks(report):
        for failure in policy.failures or ():
            fitting = _failed_alike(failure, known)
            if fitting and _is_known_to(failure, known) and not _meant(failure, fitting):
                yield _untrue(failure, fitting, known)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-19",))
def host_failure_counts_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """The entries of one result type count no more failed sessions at a host than failed there."""
    seen: set[tuple[str | None, str | None, tuple[FailedSessions, ...]]] = set()
    for policy in known.blocks(report):
        for failure in policy.failures or ():
            sessions = _meant(failure, _failed_alike(failure, known))
            key = (policy.policy_type, failure.result_type, sessions)
            if not sessions or key in seen:
                continue
            seen.add(key)
            count, most = (
                _claimed(sessions, policy.policy_type, failure.result_type, known, report),
                sum(one.most for one in sessions),
            )
            if most < count and (failure.failed_session_count or 0) <= known.failed.most:
                where = f"{failure.where}.failed-session-count"
                observed = f"{count} of type {failure.result_type}, at {_shown(sessions)}"
                yield Departure(
                    "RPT-4.4-19", "more-than-this-host-had", where, f"{most} at most", observed, note=COUNTED
                )


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-17",))
def greetings_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """receiving-mx-helo, if present, is a name from the greeting or EHLO reply of a host."""
    right = frozenset(map(a_labels, known.mx_greetings))
    for failure in known.failures(report):
        reported, where = failure.receiving_mx_helo, f"{failure.where}.receiving-mx-helo"
        if not reported or not right or a_labels(reported) in right:
            continue
        if right & set(map(a_labels, _HELLO.sub(" ", reported).split())):
            yield Departure(
                "RPT-4.4-17",
                "more-than-the-name",
                where,
                listed(map(quoted, right)),
                quoted(reported),
                Grade.INFO,
                WHOLE,
            )
        else:
            yield Departure("RPT-4.4-17", "host-untrue", where, listed(map(quoted, right)), quoted(reported))


def _failed_alike(failure: Failure, known: KnownSessions) -> tuple[FailedSessions, ...]:
    """Return the sessions that failed in the way that an entry's type names; none for a type about the policy."""
    return tuple(one for one in known.failed_sessions if failure.result_type in one.result_types)


def _meant(failure: Failure, sessions: tuple[FailedSessions, ...]) -> tuple[FailedSessions, ...]:
    """Return the sessions that an entry may mean; a member that it leaves out fits all."""
    return tuple(one for one in sessions if _at_host(failure, one) and _at_address(failure, one))


def _at_host(failure: Failure, sessions: FailedSessions) -> bool:
    return not failure.receiving_mx_hostname or a_labels(failure.receiving_mx_hostname) in map(a_labels, sessions.hosts)


def _at_address(failure: Failure, sessions: FailedSessions) -> bool:
    reported, right = failure.receiving_ip, sessions.address
    return not reported or not right or canonical(reported) == canonical(right)


def _is_known_to(failure: Failure, known: KnownSessions) -> bool:
    host, address = failure.receiving_mx_hostname, failure.receiving_ip
    hosts, addresses = map(a_labels, known.mx_hosts), map(canonical, known.receiving_ips)
    return (not host or a_labels(host) in hosts) and (not address or canonical(address) in addresses)


def _untrue(failure: Failure, fitting: tuple[FailedSessions, ...], known: KnownSessions) -> Departure:
    """Say which member of an entry is wrong: the one that agrees with the sessions if it alone is changed."""
    expected = f"what failed like this: {_shown(fitting)}"
    observed = f"{failure.result_type} at {failure.receiving_mx_hostname or '-'} [{failure.receiving_ip or '-'}]"
    if _meant(failure, known.failed_sessions):
        obligation, member = RESULT_TYPES[failure.result_type or ""], "result-type"
    elif any(_at_host(failure, one) for one in fitting):
        obligation, member = "RPT-4.4-18", "receiving-ip"
    else:
        obligation, member = "RPT-4.4-16", "receiving-mx-hostname"
    return Departure(obligation, "laid-to-another", f"{failure.where}.{member}", expected, quoted(observed))


def _claimed(
    sessions: tuple[FailedSessions, ...],
    policy_type: str | None,
    result_type: str | None,
    known: KnownSessions,
    report: ParsedReport,
) -> int:
    """Return how many failures the entries of a type count for some sessions only, under one type of policy."""
    blocks = (policy for policy in known.blocks(report) if policy.policy_type == policy_type)
    alike = (one for policy in blocks for one in policy.failures or () if one.result_type == result_type)
    return sum(
        one.failed_session_count or 0
        for one in alike
        if (meant := _meant(one, _failed_alike(one, known))) and set(meant) <= set(sessions)
    )


def _shown(sessions: tuple[FailedSessions, ...]) -> str:
    return ", ".join(f"{'/'.join(sorted(one.hosts)) or '-'} [{one.address or '-'}]" for one in sessions[:6])
