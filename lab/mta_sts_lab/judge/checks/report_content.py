"""TLS-RPT: what the target reported, against what the lab knows that it did (RFC 8460).

`mta_sts_lab.tlsrpt` says what is wrong with a report, and whether it is true. These checks decide how much of that
counts in a case.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.judge.arrivals import Arrival, about_the_case, arrived_at
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.reports import CAPABILITY, WORDS, comparable
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.ground_truth import before_any_connection, known_sessions
from mta_sts_lab.judge.view import CaseView, numbers
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.result_types import RESULT_TYPES
from mta_sts_lab.tlsrpt import Finding, KeyLookup, KnownSessions, against_sessions, grade, unverified
from mta_sts_lab.tlsrpt.checks.failures import UNDER_NONE
from mta_sts_lab.tlsrpt.departures import Departure, finding, quoted

#: The obligation of a report whose date range does not include its sessions.
TRUE_DAY = "RPT-4.4-03"

#: What a report breaks that counts the session in which a report was handed over.
OWN_SESSIONS = "RPT-3-09"
_COUNTS_AND_TYPES = frozenset(RESULT_TYPES.values()) | {"RPT-4.2.1-01", "RPT-4.2.2-01", "RPT-4.4-19", "RPT-4-05"}

#: What a mailed report breaks that has no valid signature.
SIGNED = "RPT-3-11"

#: What two different reports under one identifier break.
COPIES = "RPT-4.4-05"

#: A case that is about an attack judges only these in full; what else is wrong with a report is only noted there, and
#: judged by the cases that are about reports.
_OF_THE_STORY = frozenset(RESULT_TYPES.values()) | {
    OWN_SESSIONS,
    "RPT-4.2.1-01",
    "RPT-4.2.2-01",
    "RPT-4.4-08",
    *UNDER_NONE,
}


@check(scope=Scope.CASE)
def report_is_well_made(view: CaseView) -> Iterator[Judgement]:
    """Everything that a report shows by itself: its JSON, its fields, its mail, its signature."""
    found: dict[tuple[str, Finding], list[Arrival]] = {}
    for arrival in judged_arrivals(view):
        arrived = arrived_at(view, arrival)
        early = before_any_connection(view, arrival.window)
        for one in grade(arrival.parsed, view.requirements, _dkim_keys(view), arrived):
            if not (early and one.reason == "perhaps-missing") and not _names_the_domain_rightly(view, one):
                found.setdefault((arrival.report_id, one), []).append(arrival)
    # What is wrong with all copies of a report is said once.
    yield from (_finding(view, copies, one) for (_, one), copies in found.items())


def _names_the_domain_rightly(view: CaseView, found: Finding) -> bool:
    """Whether a header names another domain than the JSON, and is right: what the JSON names is found elsewhere."""
    return found.reason == "domain-differs" and found.observed == quoted(view.facts.domain)


@check(scope=Scope.CASE, obligations=(SIGNED,))
def report_signature_can_be_verified(view: CaseView) -> Iterator[Judgement]:
    """A case about reports is no pass while nobody can say whether a mailed report is signed validly."""
    for arrival in judged_arrivals(view):
        why = unverified(arrival.parsed, _dkim_keys(view), arrived_at(view, arrival))
        if why and _in_full(view, SIGNED):
            expected = "a signature that verifies"
            departure = Departure(SIGNED, "not-verified", "DKIM-Signature", expected, why, Grade.INCONCLUSIVE)
            yield _finding(view, [arrival], finding(departure, "", view.requirements))


def _dkim_keys(view: CaseView) -> KeyLookup:
    """Return the look-up of the keys that the lab published."""

    def key(name: str) -> bytes | None:
        text = view.about.dkim_records.get(name)
        return None if text is None else text.encode()

    return key


@check(scope=Scope.CASE, obligations=(OWN_SESSIONS,))
def report_is_true(view: CaseView) -> Iterator[Judgement]:
    """Everything that a report says and the record knows better: policy, counts, addresses, result types."""
    expected, optional = expected_types(view)
    for copies in judged_reports(view):
        known = known_sessions(view, copies[0].window, expected, optional)
        untrue = against_sessions(copies[0].parsed, known, view.requirements)
        if untrue and _counts_report_sessions(view, copies[0], known):
            without, observed = "no session in which a report was handed over", copies[0].described()
            counted = Departure(OWN_SESSIONS, "report-session-counted", "policies", without, observed)
            untrue = tuple(one for one in untrue if one.obligation not in _COUNTS_AND_TYPES)
            yield _finding(view, copies, finding(counted, "", view.requirements), Harm.UNTRUE_REPORT)
        yield from (_finding(view, copies, one, Harm.UNTRUE_REPORT) for one in untrue)


def _counts_report_sessions(view: CaseView, arrival: Arrival, known: KnownSessions) -> bool:
    """Whether a report counts more sessions than there were, and no more than with those that handed over reports."""
    carried, reached = view.facts.carried_reports(), view.facts.of_kind(ConnectionAccepted)
    own = [event for event, fact in reached if fact.session in carried and fact.role in RECEIVING and not fact.via]
    beside = sum(arrival.window.may_count(event.at, event.at) for event in own)
    counted = sum((one.successful or 0) + (one.failed or 0) for one in known.blocks(arrival.parsed))
    return known.attempts.most < counted <= known.attempts.most + beside


@check(scope=Scope.CASE, obligations=(TRUE_DAY,))
def report_names_right_day(view: CaseView) -> Iterator[Judgement]:
    """The date range of a report has a part in the time in which the target had something to count."""
    for copies in judged_reports(view):
        if copies[0].window.wrong_day:
            note = "by the clock of the target, as far as the record knows it"
            days = " to ".join(copies[0].written_day)
            departure = Departure(TRUE_DAY, "another-day", "date-range", "the day of the sessions", days, note=note)
            yield _finding(view, copies, finding(departure, "", view.requirements), Harm.UNTRUE_REPORT)


@check(scope=Scope.CASE, obligations=(COPIES,))
def report_copies_agree(view: CaseView) -> Iterator[Judgement]:
    """What comes under one identifier about one day is one report, wherever, however and how often it comes."""
    by_id: dict[tuple[object, ...], list[Arrival]] = {}
    for copies in judged_reports(view):
        if copies[0].report_id and copies[0].parsed.complete:
            by_id.setdefault((copies[0].report_id, copies[0].day), []).append(copies[0])
    for different in by_id.values():
        if len(different) > 1:
            observed = f"{len(different)} different ones as {different[0].report_id}"
            departure = Departure(COPIES, "copies-differ", "report-id", "one report under one identifier", observed)
            yield _finding(view, different, finding(departure, "", view.requirements))


def expected_types(view: CaseView) -> tuple[tuple[str, ...], bool]:
    """Return the result types that the scenario says are right, and whether nothing obliges to report any of them."""
    expecting = [step.expect for step in view.case.steps if step.expect and step.expect.report]
    types = [kind for expect in expecting for kind in expect.report if kind not in WORDS]
    # Where success was expected and something failed all the same, that has to be reported.
    owed = [expect for expect in expecting if set(expect.report) - {"any", "none"}]
    optional = all(expect.report_optional for expect in owed)
    return tuple(dict.fromkeys(types)), optional


def judged_arrivals(view: CaseView) -> list[Arrival]:
    """Return every arrival that is not, octet for octet, one that came before it."""
    if not comparable(view):
        return []
    kept: dict[tuple[object, ...], Arrival] = {}
    for arrival in about_the_case(view):
        if len(arrival.fact.octets) == arrival.fact.size:
            kept.setdefault((arrival.fact.transport, arrival.fact.media_type, arrival.fact.octets), arrival)
    return list(kept.values())


def judged_reports(view: CaseView) -> list[list[Arrival]]:
    """Return the reports that could be read, each with its copies: those that say the very same."""
    reports: dict[object, list[Arrival]] = {}
    for arrival in judged_arrivals(view):
        if arrival.parsed.content is not None:
            reports.setdefault((arrival.parsed.content, arrival.parsed.complete), []).append(arrival)
    return list(reports.values())


def _in_full(view: CaseView, obligation: str) -> bool:
    return CAPABILITY in view.case.needs or obligation in _OF_THE_STORY


def _finding(view: CaseView, copies: list[Arrival], found: Finding, harm: Harm = Harm.NONE) -> Judgement:
    in_full = found.grade is Grade.INCONCLUSIVE or _in_full(view, found.obligation)
    graded = found.grade if in_full else Grade.INFO
    return Judgement(
        graded,
        found.reason,
        obligation=found.obligation,
        step=copies[0].event.step,
        expected=f"{found.where}: {found.expected}",
        observed=found.observed + (f" ({found.note})" if found.note else ""),
        blame="target" if graded in (Grade.FAIL, Grade.WEAK) else "nobody",
        evidence=numbers([arrival.event for arrival in copies]),
        harm=harm,
        check=found.check,
    )
