"""Whether a report is true about policies, result types and counts (RFC 8460, sections 4.2 to 4.5).

Only what disagrees with `KnownSessions` is found; the form of the report is judged by the other checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.rfc.policy import values_of
from mta_sts_lab.rfc.result_types import RESULT_TYPES, STS_DISCOVERY_FAILURES
from mta_sts_lab.tlsrpt.checks.failures import COUNT_OPEN, FREE_COUNT
from mta_sts_lab.tlsrpt.departures import Departure, listed, listed_apart, quoted, quoted_apart
from mta_sts_lab.tlsrpt.known_sessions import COUNTED, NOTES, KnownSessions, Range
from mta_sts_lab.tlsrpt.registry import Scope, session_check
from mta_sts_lab.tlsrpt.report import ParsedReport, Policy

NOT_OWED = "nothing obliges a reporter to report this"
TYPE_OPEN = "which policy type is right is partly open; sts-lab docs ambiguities#policy-that-was-never-fetched"
BOTH = "a failed attempt and the next one in clear may both be counted; sts-lab docs ambiguities#failure-then-clear"
COMPARED = "compared without blanks and in any order; sts-lab docs ambiguities#spelling-of-policy-lines"

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
            where = f"{policy.where}.policy.policy-domain"
            expected, observed = quoted_apart(about[0].policy_domain or "", policy.policy_domain)
            yield Departure("RPT-4.4-08", "block-about-another", where, expected, observed)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-06",))
def policy_types_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Each block has a type of policy that the domain had. A further one about an MX host may say that it has none."""
    blocks = known.blocks(report)
    about_domain = [one for one in blocks if a_labels(one.policy_domain or "") == a_labels(known.policy_domain)]
    for policy in blocks:
        if policy.policy_type == "no-policy-found" and about_domain and policy not in about_domain:
            continue
        if policy.policy_type is not None and policy.policy_type not in known.policy_types:
            where = f"{policy.where}.policy.policy-type"
            expected, observed = _any_of(sorted(known.policy_types)), quoted(policy.policy_type)
            yield Departure("RPT-4.4-06", "policy-type-untrue", where, expected, observed, note=TYPE_OPEN)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-01", "RPT-4.5-02"))
def policy_lines_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """policy-string has the lines of the published policy, whatever their order and blanks."""
    for policy in known.blocks(report):
        obligation, versions = _published(policy, known)
        # Where no policy was in force there is none to quote.
        none_to_quote = policy.policy_type == "sts" and known.policy_lines is None and not policy.policy_string
        # Nor where the TLSA records could not be had.
        none_to_quote = none_to_quote or (policy.policy_type == "tlsa" and _tells_of_dnssec(policy))
        if not versions or policy.policy_string is None or none_to_quote:
            continue
        normal = _tlsa_line if policy.policy_type == "tlsa" else _sts_line
        reported = Counter(map(normal, policy.policy_string))
        published = [Counter(map(normal, lines)) for lines in versions]
        if reported in published:
            continue
        where = f"{policy.where}.policy.policy-string"
        if lacking := published[0] - reported:
            observed = listed(map(quoted, lacking), 4)
            yield Departure(obligation, "lines-missing", where, "the published lines", observed, note=COMPARED)
        if surplus := reported - published[0]:
            observed = listed(map(quoted, surplus), 4)
            yield Departure(obligation, "lines-untrue", where, "no other lines", observed, note=COMPARED)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-10",))
def mx_patterns_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """mx-host has the patterns of the published MTA-STS policy."""
    for policy in known.blocks(report):
        published = [_mx_patterns(lines) for lines in _published(policy, known)[1]]
        reported = frozenset(a_labels(pattern) for pattern in policy.mx_host or ())
        if policy.policy_type == "sts" and published and reported and reported not in published:
            where = f"{policy.where}.policy.mx-host"
            expected, observed = listed_apart(published[0], reported)
            yield Departure("RPT-4.4-10", "mx-host-untrue", where, expected or "none", observed)


@session_check(scope=(Scope.CONTENT,), obligations=_RESULTS)
def result_types_are_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """No entry has a result type that names another problem than there was."""
    counts: Counter[str] = Counter()
    for failure in known.failures(report):
        reported = failure.result_type
        if reported not in RESULT_TYPES:
            continue
        counts[reported] += failure.failed_session_count or 0
        where, right = f"{failure.where}.result-type", known.result_types.get(reported)
        if reported in known.fits and counts[reported] > known.fits[reported][0]:
            right = known.fits[reported][1]
        expected = _any_of(known.result_types) or "no failure"
        if right is None:
            yield Departure(RESULT_TYPES[reported], "result-type-untrue", where, expected, quoted(reported))
        elif right is not Grade.PASS:
            note = NOTES.get((reported, right), "")
            yield Departure(
                RESULT_TYPES[reported], "result-type-tolerated", where, expected, quoted(reported), right, note
            )


@session_check(scope=(Scope.CONTENT,), obligations=_DISCOVERY)
def discovery_failures_are_typed(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """A policy that could not be had is reported under the result type for that fault."""
    reported = _reported_types(report, known) & STS_DISCOVERY_FAILURES
    right = [one for one in known.result_types if one in STS_DISCOVERY_FAILURES]
    if reported and right and not reported & set(right):
        where = f"{known.blocks(report)[0].where}.failure-details"
        yield Departure(RESULT_TYPES[right[0]], "reported-as-another", where, _any_of(right), _listed(reported))


@session_check(scope=(Scope.CONTENT,), obligations=_RESULTS)
def failures_are_reported(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Where sessions failed for certain, an entry has one of the result types that name the problem."""
    reported = _reported_types(report, known)
    if known.failed.least and known.result_types and not reported & set(known.result_types):
        # Only sessions are counted here; a policy that could not be had is another obligation.
        types = [one for one in known.result_types if any(one in who.result_types for who in known.failed_sessions)]
        first = next(iter(types or known.result_types))
        where = f"{known.blocks(report)[0].where}.failure-details"
        expected = f"an entry of type {_any_of(known.result_types)}"
        observed = _listed(reported) or "no entries"
        note = NOT_OWED if known.absent else ""
        yield Departure(RESULT_TYPES[first], "failure-not-listed", where, expected, observed, known.absent, note)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4-05",))
def every_problem_is_reported(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """Where sessions failed in several ways, each way has an entry; `failures_are_reported` finds that none has."""
    reported = _reported_types(report, known)
    if not reported & set(known.result_types):
        return
    # An entry under a wrong type counts as an entry; `result_types_are_true` finds the wrong type.
    misnamed = len(reported - set(known.result_types))
    unlisted = [types for types in known.problems if not reported & types]
    for types in unlisted[misnamed:]:
        where, observed = f"{known.blocks(report)[0].where}.failure-details", _listed(reported)
        expected = f"an entry of type {_any_of(sorted(types))} as well"
        yield Departure("RPT-4-05", "problem-not-listed", where, expected, observed, known.absent)


@session_check(scope=(Scope.CONTENT,), obligations=("RPT-4.2.2-01",))
def failure_count_is_true(report: ParsedReport, known: KnownSessions) -> Iterator[Departure]:
    """The failures counted are at least one where sessions failed, and no more than failed."""
    reported = _totals(report, known, "failure")
    if reported is None:
        return
    where, (any_, most) = _counter(report, known, "failure"), reported
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
    """The successes counted are at least one where sessions succeeded, and no more than could be taken for one."""
    reported = _totals(report, known, "successful")
    if reported is None:
        return
    where, (any_, most) = _counter(report, known, "successful"), reported
    right = known.attempts.most - known.failed.least
    possible = known.attempts.most if known.successes is None else min(known.successes, known.attempts.most)
    if most > possible or (any_ == 0 and known.attempts.least > known.failed.most):
        least = max(known.attempts.least - known.failed.most, 0)
        expected = f"{Range(min(least, possible), possible)}"
        yield _counted("RPT-4.2.1-01", "successes-untrue", where, expected, most, known, COUNTED)
    elif most > right:
        yield Departure("RPT-4.2.1-01", "successes-differ", where, f"{right} at most", f"{most}", Grade.INFO, BOTH)


def _any_of(words: Iterable[str]) -> str:
    return " or ".join(map(quoted, words))


def _listed(words: Iterable[str]) -> str:
    return listed(map(quoted, words))


def _tells_of_dnssec(policy: Policy) -> bool:
    return not policy.policy_string and "dnssec-invalid" in policy.result_types


def _published(policy: Policy, known: KnownSessions) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Return which obligation a block's policy-string is under, and what it may be, today's policy first."""
    if policy.policy_type == "sts":
        in_force = () if known.policy_lines is None else (known.policy_lines, *known.earlier_policy_lines)
        # A refused text was applied to no session: only a report of sts-policy-invalid may quote it.
        tells_so = "sts-policy-invalid" in policy.result_types and not policy.successful
        refused = known.refused_policy_lines if tells_so or not in_force else ()
        return "RPT-4.5-02", (*in_force, *refused)
    if policy.policy_type == "tlsa" and known.tlsa_records is not None:
        return "RPT-4.5-01", known.tlsa_records
    return "", ()


def _reported_types(report: ParsedReport, known: KnownSessions) -> set[str]:
    return {failure.result_type for failure in known.failures(report) if failure.result_type}


def _mx_patterns(lines: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(a_labels, values_of(lines, "mx")))


def _totals(report: ParsedReport, known: KnownSessions, counter: str) -> tuple[int, int] | None:
    """Return the sum of a counter over all blocks, and the largest over the blocks on one domain's policy of one type.

    A session under two policies stands in a block of each, so that only the latter can be too large. None: no counter.
    """
    by_type: Counter[tuple[str, str]] = Counter()
    for policy in known.blocks(report):
        count = policy.failed if counter == "failure" else policy.successful
        if count is not None:
            by_type[policy.policy_type or "", a_labels(policy.policy_domain or "")] += count
    return (by_type.total(), max(by_type.values())) if by_type else None


def _counter(report: ParsedReport, known: KnownSessions, counter: str) -> str:
    return f"{known.blocks(report)[0].where}.summary.total-{counter}-session-count"


def _counted(
    obligation: str, reason: str, where: str, expected: str, observed: int, known: KnownSessions, note: str
) -> Departure:
    # Which of the two counters a session raises is open; that there was a session is not.
    free = known.counters_are_free and observed <= known.attempts.most
    grade, note = (Grade.INFO, FREE_COUNT) if free else (None, note)
    return Departure(obligation, reason, where, expected, f"{observed}", grade, note)


def _sts_line(line: str) -> str:
    key, colon, value = line.strip().partition(":")
    # U-labels for A-labels make another line; upper case does not.
    value = value.strip().removesuffix(".").lower() if key.strip() == "mx" else value.strip()
    return f"{key.strip()}: {value}" if colon else line.strip()


def _tlsa_line(line: str) -> str:
    usage, selector, matching, *data = [*line.lower().split(), "", "", ""]
    return " ".join((usage, selector, matching, "".join(data)))
