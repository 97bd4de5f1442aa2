"""Whether a report tells the truth about policies, result types and counts (RFC 8460, sections 4.2 to 4.5).

Only what disagrees with `KnownSessions` is found; the form of the report is judged by the other checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mta_sts_lab.model import Grade
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.rfc.policy import values_of
from mta_sts_lab.rfc.result_types import RESULT_TYPES, STS_DISCOVERY_FAILURES
from mta_sts_lab.tlsrpt.checks.failures import COUNT_OPEN, FREE_COUNT
from mta_sts_lab.tlsrpt.departures import Departure, listed, quoted
from mta_sts_lab.tlsrpt.known_sessions import COUNTED, NOTES, KnownSessions, Range
from mta_sts_lab.tlsrpt.registry import Scope, session_check
from mta_sts_lab.tlsrpt.report import ParsedReport, Policy

NOT_OWED = "nothing obliges a reporter to report this"
TYPE_OPEN = "which policy type is right is partly open; docs/ambiguities.md#policy-that-was-never-fetched"
BOTH = "a failed attempt and the next one in clear may both be counted; docs/ambiguities.md#failure-then-clear"
COMPARED = "compared without blanks and in any order; docs/ambiguities.md#spelling-of-policy-lines"

_RESULTS = tuple(RESULT_TYPES.values())
_DISCOVERY = tuple(RESULT_TYPES[name] for name in sorted(STS_DISCOVERY_FAILURES))


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-08",))
def blocks_are_about_the_domain(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """No block is about another domain.

    A report goes to the address that one policy domain has published, and bears its name (RFC 8460, sections 3, 5.1 and
    5.3); several policies in it are "for the same domain and MX" (section 4).
    """
    about = known.blocks(report)
    for policy in report.policies:
        if policy.policy_domain and policy not in about:
            where, expected = f"{policy.where}.policy.policy-domain", about[0].policy_domain or ""
            yield Departure("RPT-4.4-08", "block-about-another", where, quoted(expected), quoted(policy.policy_domain))


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-06",))
def policy_types_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Each block has a type of policy that the domain had."""
    for policy in known.blocks(report):
        if policy.policy_type is not None and policy.policy_type not in known.policy_types:
            where = f"{policy.where}.policy.policy-type"
            expected, observed = " or ".join(sorted(known.policy_types)), quoted(policy.policy_type)
            yield Departure("RPT-4.4-06", "policy-type-untrue", where, expected, observed, note=TYPE_OPEN)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-01", "RPT-4.5-02"))
def policy_lines_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """policy-string has the lines of the published policy, whatever their order and blanks."""
    for policy in known.blocks(report):
        obligation, versions = _published(policy, known)
        # Where no policy was in force there is none to quote.
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
            yield Departure(
                obligation,
                "lines-missing",
                where,
                "the published lines",
                listed(map(quoted, lacking), 4),
                note=COMPARED,
            )
        if surplus := told - published[0]:
            yield Departure(
                obligation, "lines-untrue", where, "no other lines", listed(map(quoted, surplus), 4), note=COMPARED
            )


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-10",))
def mx_patterns_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """mx-host has the patterns of the published MTA-STS policy."""
    for policy in known.blocks(report):
        published = [_mx_patterns(lines) for lines in _published(policy, known)[1]]
        told = frozenset(a_labels(pattern) for pattern in policy.mx_host or ())
        if policy.policy_type == "sts" and published and told and told not in published:
            where = f"{policy.where}.policy.mx-host"
            yield Departure("RPT-4.4-10", "mx-host-untrue", where, listed(published[0]) or "none", listed(told))


@session_check(scope=(Scope.CONTENT,), obligations=_RESULTS)
def result_types_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """No entry has a result type that names another trouble than there was."""
    counts: Counter[str] = Counter()
    for failure in known.failures(report):
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


@session_check(scope=(Scope.CONTENT,), obligations=_DISCOVERY)
def discovery_failures_are_typed(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """What kept the sender from a policy is told by the type that is defined for it."""
    told = {failure.result_type for failure in known.failures(report)} & STS_DISCOVERY_FAILURES
    right = [one for one in known.result_types if one in STS_DISCOVERY_FAILURES]
    if told and right and not told & set(right):
        where, observed = f"{known.blocks(report)[0].where}.failure-details", listed(filter(None, told))
        yield Departure(RESULT_TYPES[right[0]], "told-as-another", where, " or ".join(right), observed)


@session_check(scope=(Scope.CONTENT,), obligations=_RESULTS)
def failures_are_reported(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Where sessions failed for certain, an entry has one of the result types that name the trouble."""
    told = {failure.result_type for failure in known.failures(report)}
    if known.failed.least and known.result_types and not told & set(known.result_types):
        # What certainly failed are sessions: that a policy could not be had is another obligation's matter.
        types = [one for one in known.result_types if any(one in who.result_types for who in known.failed_sessions)]
        first = next(iter(types or known.result_types))
        where = f"{known.blocks(report)[0].where}.failure-details"
        expected = f"an entry of type {' or '.join(known.result_types)}"
        observed = listed(filter(None, told)) or "no entries"
        note = NOT_OWED if known.absent else ""
        yield Departure(RESULT_TYPES[first], "failure-not-told", where, expected, observed, known.absent, note)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4-05",))
def every_problem_is_reported(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Where sessions met several kinds of trouble, each kind has an entry. That none has any is found elsewhere."""
    told = {failure.result_type for failure in known.failures(report)}
    if not told & set(known.result_types):
        return
    # An entry under a wrong type tells of a trouble all the same: that the type is wrong is found elsewhere.
    misnamed = len(told - set(known.result_types))
    untold = [types for types in known.troubles if not told & types]
    for types in untold[misnamed:]:
        where, observed = f"{known.blocks(report)[0].where}.failure-details", listed(filter(None, told))
        expected = f"an entry of type {' or '.join(sorted(types))} as well"
        yield Departure("RPT-4-05", "trouble-not-told", where, expected, observed, known.absent)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.2.2-01",))
def failure_count_is_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """One failure at least is counted where sessions failed, and no more than failed."""
    told = _totals(report, known, "failure")
    if told is None:
        return
    where, (any_, most) = _counter(report, known, "failure"), told
    # Another way of counting sessions may come to any number above none (COUNTED).
    if any_ < min(known.failed.least, 1) or most > known.failed.most:
        yield _counted("RPT-4.2.2-01", "failures-untrue", where, f"{known.failed}", most, known, COUNTED)
    elif most not in known.failed:
        yield Departure("RPT-4.2.2-01", "failures-differ", where, f"{known.failed}", f"{most}", Grade.INFO, COUNT_OPEN)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-19",))
def entry_counts_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """No entry has more sessions than failed."""
    for failure in known.failures(report):
        count, where = failure.failed_session_count, f"{failure.where}.failed-session-count"
        if count is not None and count > known.failed.most:
            yield _counted("RPT-4.4-19", "count-untrue", where, f"{known.failed}", count, known, COUNTED)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.2.1-01",))
def success_count_is_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """One success at least is counted where sessions succeeded, and no more than went well, or on in spite of all."""
    told = _totals(report, known, "successful")
    if told is None:
        return
    where, (any_, most) = _counter(report, known, "successful"), told
    right = known.attempts.most - known.failed.least
    possible = known.attempts.most if known.successes is None else min(known.successes, known.attempts.most)
    if most > possible or (any_ == 0 and known.attempts.least > known.failed.most):
        least = max(known.attempts.least - known.failed.most, 0)
        expected = f"{Range(min(least, possible), possible)}"
        yield _counted("RPT-4.2.1-01", "successes-untrue", where, expected, most, known, COUNTED)
    elif most > right:
        yield Departure("RPT-4.2.1-01", "successes-differ", where, f"{right} at most", f"{most}", Grade.INFO, BOTH)


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
    return frozenset(map(a_labels, values_of(lines, "mx")))


def _totals(report: ParsedReport, known: KnownSessions, counter: str) -> tuple[int, int] | None:
    """Return the sum of a counter over all blocks, and the largest sum over the blocks of one type of policy.

    A session under two policies stands in a block of each, so that only the latter can be too large. None: no counter.
    """
    by_type: Counter[str] = Counter()
    for policy in known.blocks(report):
        count = policy.failed if counter == "failure" else policy.successful
        if count is not None:
            by_type[policy.policy_type or ""] += count
    return (by_type.total(), max(by_type.values())) if by_type else None


def _counter(report: ParsedReport, known: KnownSessions, counter: str) -> str:
    return f"{known.blocks(report)[0].where}.summary.total-{counter}-session-count"


def _counted(
    obligation: str, reason: str, where: str, expected: str, observed: int, known: KnownSessions, note: str
) -> Departure:
    # It is open which of two counters a session raises, not whether there was one.
    free = known.counters_are_free and observed <= known.attempts.most
    grade, note = (Grade.INFO, FREE_COUNT) if free else (None, note)
    return Departure(obligation, reason, where, expected, f"{observed}", grade, note)


def _sts_line(line: str) -> str:
    key, colon, value = line.strip().partition(":")
    # As declared: another spelling of a name, U-labels say, is another line; only its case says nothing.
    value = value.strip().removesuffix(".").lower() if key.strip() == "mx" else value.strip()
    return f"{key.strip()}: {value}" if colon else line.strip()


def _tlsa_line(line: str) -> str:
    usage, selector, matching, *data = [*line.lower().split(), "", "", ""]
    return " ".join((usage, selector, matching, "".join(data)))
