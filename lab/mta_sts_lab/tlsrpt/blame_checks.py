"""Whether each failure is laid to who failed: entries of failure-details against the sessions themselves.

That a host was dialled, an address was reached and a trouble was met, each somewhere, makes no entry true: they have to
belong to one another (RFC 8460, sections 4.3 and 4.4).
"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.tlsrpt.departures import Departure, quoted
from mta_sts_lab.tlsrpt.known_sessions import FailedSessions, KnownSessions
from mta_sts_lab.tlsrpt.names import canonical, plain
from mta_sts_lab.tlsrpt.report import RESULT_TYPES, Failure, Policy

A60 = "A60: one session at least, and no more than the attempts that were seen"


def every_failure_is_laid_to_who_failed(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """Host, address and result type of an entry are those of sessions that there were, all three together.

    A host or an address that nobody met at all is found elsewhere, and so is a type that fits no trouble.
    """
    for policy in policies:
        for failure in policy.failures or ():
            fitting = _with_this_trouble(failure, known)
            if fitting and _names_who_was_met(failure, known) and not _meant(failure, fitting):
                yield _untrue(failure, fitting, known)


def no_host_has_more_failures_than_sessions(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """Entries of one result type lay no more sessions to a host than came to nothing there."""
    told: set[tuple[str | None, str | None, tuple[FailedSessions, ...]]] = set()
    for policy in policies:
        for failure in policy.failures or ():
            sessions = _meant(failure, _with_this_trouble(failure, known))
            key = (policy.policy_type, failure.result_type, sessions)
            if not sessions or key in told:
                continue
            told.add(key)
            count, most = _laid_to(sessions, policy.policy_type, failure, policies, known), _most(sessions)
            # More than failed in the whole day is found elsewhere.
            if most < count and (failure.failed_session_count or 0) <= known.failed.most:
                where = f"{failure.where}.failed-session-count"
                observed = f"{count} of type {failure.result_type}, at {_shown(sessions)}"
                yield Departure("RPT-4.4-19", "more-than-this-host-had", where, f"{most} at most", observed, note=A60)


def _with_this_trouble(failure: Failure, known: KnownSessions) -> tuple[FailedSessions, ...]:
    """Return the sessions whose trouble an entry's type names. None: it is no matter of single sessions."""
    return tuple(one for one in known.failed_sessions if failure.result_type in one.result_types)


def _meant(failure: Failure, sessions: tuple[FailedSessions, ...]) -> tuple[FailedSessions, ...]:
    """Return the sessions that an entry may mean; a member that it leaves out fits all (A46)."""
    return tuple(one for one in sessions if _at_host(failure, one) and _at_address(failure, one))


def _at_host(failure: Failure, sessions: FailedSessions) -> bool:
    return not failure.receiving_mx_hostname or plain(failure.receiving_mx_hostname) in map(plain, sessions.hosts)


def _at_address(failure: Failure, sessions: FailedSessions) -> bool:
    told, right = failure.receiving_ip, sessions.address
    return not told or not right or canonical(told) == canonical(right)


def _names_who_was_met(failure: Failure, known: KnownSessions) -> bool:
    host, address = failure.receiving_mx_hostname, failure.receiving_ip
    hosts, addresses = map(plain, known.mx_hosts), map(canonical, known.receiving_ips)
    return (not host or plain(host) in hosts) and (not address or canonical(address) in addresses)


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


def _laid_to(
    sessions: tuple[FailedSessions, ...],
    policy_type: str | None,
    like: Failure,
    policies: tuple[Policy, ...],
    known: KnownSessions,
) -> int:
    """Return how many failures all entries of a type lay to some sessions and to none beside them.

    A session under two types of policy stands in a block of each.
    """
    entries = (one for policy in policies if policy.policy_type == policy_type for one in policy.failures or ())
    alike = [one for one in entries if one.result_type == like.result_type]
    return sum(
        one.failed_session_count or 0
        for one in alike
        if (meant := _meant(one, _with_this_trouble(one, known))) and set(meant) <= set(sessions)
    )


def _most(sessions: tuple[FailedSessions, ...]) -> int:
    return sum(one.most for one in sessions)


def _shown(sessions: tuple[FailedSessions, ...]) -> str:
    return ", ".join(f"{'/'.join(sorted(one.hosts)) or '-'} [{one.address or '-'}]" for one in sessions[:6])
