"""A report against what a witness knows: whether it tells the truth (RFC 8460, sections 4.2 to 4.5).

Complements the grader, which judges the form: here only what disagrees with `KnownSessions` is found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from mta_sts_lab.model import Grade, Requirement
from mta_sts_lab.tlsrpt.blame_checks import (
    A60,
    every_failure_is_laid_to_who_failed,
    no_host_has_more_failures_than_sessions,
)
from mta_sts_lab.tlsrpt.departures import Departure, Finding, finding, quoted
from mta_sts_lab.tlsrpt.failure_checks import A60_INFO, A63
from mta_sts_lab.tlsrpt.known_sessions import NOTES, RIGHT_RESULT_TYPES, KnownSessions, Range
from mta_sts_lab.tlsrpt.names import canonical, plain
from mta_sts_lab.tlsrpt.report import RESULT_TYPES, STS_DISCOVERY_FAILURES, Failure, ParsedReport, Policy

A41 = "A41, A62: nothing obliges to report this"
A49 = "A45, A49: which type is right is partly open"
A61 = "A61: a failed attempt and the next one in clear may both be counted"
A66 = "A66: compared without blanks and in any order"

#: A reply code and what joins it to the name behind it.
_HELLO = re.compile(r"(?m)^\d{3}[ -]")

WHOLE = "RFC 8460, section 4.4, speaks of the string from the banner: some reporters quote the whole reply"

_COUNTER = "summary.total-{}-session-count"


def against_sessions(
    report: ParsedReport, known: KnownSessions, requirements: Mapping[str, Requirement]
) -> tuple[Finding, ...]:
    """Compare a report with what a witness knows; what agrees yields nothing.

    A report without a block for the policy domain has one finding, and so has one that could not be read.
    """
    policies = _about(report, known)
    if not policies:
        return (finding(_no_block(report, known), "the-report-is-about-the-domain", requirements),)
    strangers = (finding(one, "every-block-is-about-the-domain", requirements) for one in _strangers(report, policies))
    told = (
        finding(departure, check.__name__.replace("_", "-"), requirements)
        for check in SESSION_CHECKS
        for departure in check(policies, known)
    )
    return (*strangers, *told)


def the_policy_types_are_true(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """Each block has a type of policy that the domain had."""
    for policy in policies:
        if policy.policy_type is not None and policy.policy_type not in known.policy_types:
            where = f"{policy.where}.policy.policy-type"
            expected, observed = " or ".join(sorted(known.policy_types)), quoted(policy.policy_type)
            yield Departure("RPT-4.4-06", "policy-type-untrue", where, expected, observed, note=A49)


def the_policy_lines_are_those_published(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """policy-string has the lines of the published policy, whatever their order and blanks."""
    for policy in policies:
        obligation, versions = _published(policy, known)
        # Where no policy was in force there is none to quote (A45).
        none_to_quote = policy.policy_type == "sts" and known.policy_lines is None and not policy.policy_string
        if not versions or policy.policy_string is None or none_to_quote:
            continue
        normal = _tlsa_line if policy.policy_type == "tlsa" else _sts_line
        told = Counter(map(normal, policy.policy_string))
        published = [Counter(map(normal, lines)) for lines in versions]
        if told in published:
            continue
        where = f"{policy.where}.policy.policy-string"
        if lacking := published[0] - told:
            yield Departure(obligation, "lines-missing", where, "the published lines", _listed(lacking), note=A66)
        if surplus := told - published[0]:
            yield Departure(obligation, "lines-untrue", where, "no other lines", _listed(surplus), note=A66)


def the_mx_patterns_are_those_published(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """mx-host has the patterns of the published MTA-STS policy."""
    for policy in policies:
        published = [_mx_patterns(lines) for lines in _published(policy, known)[1]]
        told = frozenset(plain(pattern) for pattern in policy.mx_host or ())
        if policy.policy_type == "sts" and published and told and told not in published:
            where = f"{policy.where}.policy.mx-host"
            yield Departure("RPT-4.4-10", "mx-host-untrue", where, _names(published[0]) or "none", _names(told))


def the_addresses_are_true(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """sending-mta-ip and receiving-ip are addresses of sessions that there were; absent is judged elsewhere (A46)."""
    sending, receiving = (frozenset(map(canonical, ips)) for ips in (known.sending_ips, known.receiving_ips))
    for failure in _failures(policies):
        for obligation, name, told, right in (
            ("RPT-4.4-15", "sending-mta-ip", failure.sending_mta_ip, sending),
            ("RPT-4.4-18", "receiving-ip", failure.receiving_ip, receiving),
        ):
            if told and right and canonical(told) not in right:
                where = f"{failure.where}.{name}"
                yield Departure(obligation, "address-untrue", where, _names(right), quoted(told))


def the_receiving_hosts_are_true(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """receiving-mx-hostname is a host that was dialled."""
    hosts = frozenset(map(plain, known.mx_hosts))
    for failure in _failures(policies):
        told = failure.receiving_mx_hostname
        if told and hosts and plain(told) not in hosts:
            where = f"{failure.where}.receiving-mx-hostname"
            yield Departure("RPT-4.4-16", "host-untrue", where, _names(hosts), quoted(told))


def the_greetings_are_true(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """receiving-mx-helo, which may be left out, is the name by which such a host introduced itself."""
    right = frozenset(map(plain, known.mx_greetings))
    for failure in _failures(policies):
        told, where = failure.receiving_mx_helo, f"{failure.where}.receiving-mx-helo"
        if not told or not right or plain(told) in right:
            continue
        if right & set(map(plain, _HELLO.sub(" ", told).split())):
            yield Departure("RPT-4.4-17", "more-than-the-name", where, _names(right), quoted(told), Grade.INFO, WHOLE)
        else:
            yield Departure("RPT-4.4-17", "host-untrue", where, _names(right), quoted(told))


def the_result_types_are_true(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """No entry has a result type that names another trouble than there was."""
    counts: Counter[str] = Counter()
    for failure in _failures(policies):
        told = failure.result_type
        if told not in RESULT_TYPES:
            continue
        counts[told] += failure.failed_session_count or 0
        where, right = f"{failure.where}.result-type", known.result_types.get(told)
        if told in known.fits and counts[told] > known.fits[told][0]:
            right = known.fits[told][1]
        expected = " or ".join(known.result_types) or "no failure"
        if right is None:
            yield Departure(RESULT_TYPES[told], "result-type-untrue", where, expected, quoted(told))
        elif right is not Grade.PASS:
            note = NOTES.get((told, right), "")
            yield Departure(RESULT_TYPES[told], "result-type-tolerated", where, expected, quoted(told), right, note)


def a_failed_discovery_has_its_own_type(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """What kept the sender from a policy is told by the type that is defined for it."""
    told = {failure.result_type for failure in _failures(policies)} & STS_DISCOVERY_FAILURES
    right = [one for one in known.result_types if one in STS_DISCOVERY_FAILURES]
    if told and right and not told & set(right):
        where, observed = f"{policies[0].where}.failure-details", _names({one for one in told if one})
        yield Departure(RESULT_TYPES[right[0]], "told-as-another", where, " or ".join(right), observed)


def the_failures_are_told(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """Where sessions failed for certain, an entry has one of the result types that name the trouble."""
    told = {failure.result_type for failure in _failures(policies)}
    if known.failed.least and known.result_types and not told & set(known.result_types):
        # What certainly failed are sessions: that a policy could not be had is another obligation's matter.
        types = [one for one in known.result_types if any(one in who.result_types for who in known.failed_sessions)]
        first = next(iter(types or known.result_types))
        where = f"{policies[0].where}.failure-details"
        expected = f"an entry of type {' or '.join(known.result_types)}"
        observed = _names({one for one in told if one}) or "no entries"
        note = A41 if known.absent else ""
        yield Departure(RESULT_TYPES[first], "failure-not-told", where, expected, observed, known.absent, note)


def every_trouble_is_told(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """Where sessions met several kinds of trouble, each kind has an entry. That none has any is found elsewhere."""
    told = {failure.result_type for failure in _failures(policies)}
    if not told & set(known.result_types):
        return
    # An entry under a wrong type tells of a trouble all the same: that the type is wrong is found elsewhere.
    misnamed = len(told - set(known.result_types))
    untold = [types for types in known.troubles if not told & types]
    for types in untold[misnamed:]:
        where, observed = f"{policies[0].where}.failure-details", _names({one for one in told if one})
        expected = f"an entry of type {' or '.join(sorted(types))} as well"
        yield Departure("RPT-4-05", "trouble-not-told", where, expected, observed, known.absent)


def the_failures_are_counted(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """One failure at least is counted where sessions failed, and no more than failed."""
    told = _totals(policies, [policy.failed for policy in policies])
    if told is None:
        return
    where, (any_, most) = f"{policies[0].where}.{_COUNTER.format('failure')}", told
    # Another way of counting sessions may come to any number above none (A60).
    if any_ < min(known.failed.least, 1) or most > known.failed.most:
        yield _counted("RPT-4.2.2-01", "failures-untrue", where, f"{known.failed}", most, known, A60)
    elif most not in known.failed:
        yield Departure("RPT-4.2.2-01", "failures-differ", where, f"{known.failed}", f"{most}", Grade.INFO, A60_INFO)


def every_entry_is_counted(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """No entry has more sessions than failed."""
    for failure in _failures(policies):
        count, where = failure.failed_session_count, f"{failure.where}.failed-session-count"
        if count is not None and count > known.failed.most:
            yield _counted("RPT-4.4-19", "count-untrue", where, f"{known.failed}", count, known, A60)


def the_successes_are_counted(policies: tuple[Policy, ...], known: KnownSessions) -> Iterator[Departure]:
    """One success at least is counted where sessions succeeded, and no more than went well, or on in spite of all."""
    told = _totals(policies, [policy.successful for policy in policies])
    if told is None:
        return
    where, (any_, most) = f"{policies[0].where}.{_COUNTER.format('successful')}", told
    right = known.attempts.most - known.failed.least
    possible = known.attempts.most if known.successes is None else min(known.successes, known.attempts.most)
    if most > possible or (any_ == 0 and known.attempts.least > known.failed.most):
        least = max(known.attempts.least - known.failed.most, 0)
        expected = f"{Range(min(least, possible), possible)}"
        yield _counted("RPT-4.2.1-01", "successes-untrue", where, expected, most, known, A60)
    elif most > right:
        yield Departure("RPT-4.2.1-01", "successes-differ", where, f"{right} at most", f"{most}", Grade.INFO, A61)


#: Every comparison, in the order in which its findings are told.
SESSION_CHECKS: tuple[Callable[[tuple[Policy, ...], KnownSessions], Iterator[Departure]], ...] = (
    the_policy_types_are_true,
    the_policy_lines_are_those_published,
    the_mx_patterns_are_those_published,
    the_result_types_are_true,
    a_failed_discovery_has_its_own_type,
    the_failures_are_told,
    every_trouble_is_told,
    the_failures_are_counted,
    every_entry_is_counted,
    the_successes_are_counted,
    the_addresses_are_true,
    the_receiving_hosts_are_true,
    every_failure_is_laid_to_who_failed,
    no_host_has_more_failures_than_sessions,
    the_greetings_are_true,
)


def right_result_types(*troubles: str) -> Mapping[str, Grade]:
    """Return the result types for some troubles together; of two grades for one type the better counts.

    Raises `KeyError` for a trouble that `RIGHT_RESULT_TYPES` does not know.
    """
    found: dict[str, Grade] = {}
    order = (Grade.PASS, Grade.INFO, Grade.WEAK)
    for name, word in chain.from_iterable(RIGHT_RESULT_TYPES[trouble].items() for trouble in troubles):
        found[name] = min(found.get(name, word), word, key=order.index)
    return found


def _about(report: ParsedReport, known: KnownSessions) -> tuple[Policy, ...]:
    """Return the blocks about the domain. For DANE and for no policy the name of an MX host is right too (A55, A67)."""
    hosts = {plain(name) for name in known.mx_hosts}
    return tuple(
        policy
        for policy in report.policies
        if policy.policy_domain
        and (
            plain(policy.policy_domain) == plain(known.policy_domain)
            or (policy.policy_type in ("tlsa", "no-policy-found") and plain(policy.policy_domain) in hosts)
        )
    )


def _strangers(report: ParsedReport, about: tuple[Policy, ...]) -> Iterator[Departure]:
    """Find the blocks about anybody else.

    A report goes to the address that one policy domain has published, and bears its name (RFC 8460, sections 3, 5.1 and
    5.3); several policies in it are "for the same domain and MX" (section 4). What befell others is for their reports.
    """
    for policy in report.policies:
        if policy.policy_domain and policy not in about:
            where, expected = f"{policy.where}.policy.policy-domain", about[0].policy_domain or ""
            yield Departure("RPT-4.4-08", "block-about-another", where, quoted(expected), quoted(policy.policy_domain))


def _no_block(report: ParsedReport, known: KnownSessions) -> Departure:
    observed = report.trouble or _names(set(report.policy_domains)) or "no policy-domain"
    grade = Grade.INCONCLUSIVE if report.beyond_limit else None
    return Departure("RPT-4.4-08", "no-block-for-the-domain", "policies", known.policy_domain, observed, grade)


def _published(policy: Policy, known: KnownSessions) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Return which obligation a block's policy-string is under, and what it may be, today's policy first."""
    if policy.policy_type == "sts":
        in_force = () if known.policy_lines is None else (known.policy_lines, *known.earlier_policy_lines)
        # A text that was refused was applied to no session: it goes with the news that it is none.
        tells_so = "sts-policy-invalid" in policy.result_types and not policy.successful
        refused = known.refused_policy_lines if tells_so or not in_force else ()
        return "RPT-4.5-02", (*in_force, *refused)
    if policy.policy_type == "tlsa" and known.tlsa_records is not None:
        return "RPT-4.5-01", (known.tlsa_records,)
    return "", ()


def _mx_patterns(lines: tuple[str, ...]) -> frozenset[str]:
    pairs = (line.partition(":") for line in lines)
    return frozenset(plain(value.strip()) for key, _, value in pairs if key.strip() == "mx")


def _totals(policies: tuple[Policy, ...], counts: list[int | None]) -> tuple[int, int] | None:
    """Return the sum of a counter over all blocks, and the largest sum over the blocks of one type of policy.

    A session under two policies stands in a block of each, so that only the latter can be too large. None: no counter.
    """
    by_type: Counter[str] = Counter()
    for policy, count in zip(policies, counts, strict=True):
        if count is not None:
            by_type[policy.policy_type or ""] += count
    return (by_type.total(), max(by_type.values())) if by_type else None


def _counted(
    obligation: str, reason: str, where: str, expected: str, observed: int, known: KnownSessions, note: str
) -> Departure:
    # It is open which of two counters a session raises, not whether there was one.
    free = known.counters_are_free and observed <= known.attempts.most
    grade, note = (Grade.INFO, A63) if free else (None, note)
    return Departure(obligation, reason, where, expected, f"{observed}", grade, note)


def _failures(policies: tuple[Policy, ...]) -> Iterator[Failure]:
    return chain.from_iterable(policy.failures or () for policy in policies)


def _sts_line(line: str) -> str:
    key, colon, value = line.strip().partition(":")
    # As declared: another spelling of a name, U-labels say, is another line; only its case says nothing.
    value = value.strip().removesuffix(".").lower() if key.strip() == "mx" else value.strip()
    return f"{key.strip()}: {value}" if colon else line.strip()


def _tlsa_line(line: str) -> str:
    usage, selector, matching, *data = [*line.lower().split(), "", "", ""]
    return " ".join((usage, selector, matching, "".join(data)))


def _listed(lines: Counter[str]) -> str:
    shown = [quoted(line) for line in list(lines)[:4]]
    return ", ".join(shown) + (f" and {len(lines) - 4} more" if len(lines) > 4 else "")


def _names(names: set[str] | frozenset[str]) -> str:
    shown = sorted(names)[:6]
    return ", ".join(shown) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
