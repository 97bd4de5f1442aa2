"""TLS-RPT: what the target reported, against what the lab knows that it did (RFC 8460, and RFC 8461, section 6).

`mta_sts_lab.tlsrpt` says what is wrong with a report, and whether it is true. These checks decide whether a report was
owed, whether it came to where it was wanted, and how much of what is wrong with it counts in a case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mta_sts_lab.events import ConnectionAccepted, LabFailed
from mta_sts_lab.judge.arrivals import (
    Arrival,
    about_the_case,
    arrived_at,
    reports_left,
    wanted,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.ground_truth import before_any_connection, known_sessions
from mta_sts_lab.judge.view import CaseView, inconclusive, numbers
from mta_sts_lab.model.case import Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.published import wanted_places
from mta_sts_lab.rfc.result_types import DANE_DISCOVERY_FAILURES, RESULT_TYPES, STS_DISCOVERY_FAILURES
from mta_sts_lab.tlsrpt import Finding, KeyLookup, KnownSessions, against_sessions, grade, unverified
from mta_sts_lab.tlsrpt.checks.failures import UNDER_NONE
from mta_sts_lab.tlsrpt.departures import Departure, finding

CAPABILITY = "tls-rpt"

#: The reason where no failure that the report names is one under the domain's policy.
FILED_ELSEWHERE = "failure-not-reported"

#: The reason where the failures that a report names are none of those that the attack makes.
OTHER_FAILURE = "reported-as-something-else"

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

#: The reason where a report went, but to no address at which it is wanted.
_SENT_ELSEWHERE = "sent-elsewhere"

#: What a report breaks that goes over a wanted channel, by name, to another address.
_AT_ITS_ADDRESS = {"https": "RPT-3-05", "mail": "RPT-3-07"}

_WORDS = ("success", "any", "none")


@check(scope=Scope.CASE)
def reports_can_be_requested(view: CaseView) -> Iterator[Judgement]:
    """A case that expects something of a report is no pass while a target that claims reports was not asked for any."""
    if view.case.judges_reports and CAPABILITY in view.about.set_aside:
        yield Judgement(
            Grade.INFO,
            "reports-not-asked-for",
            expected="a target that claims TLS-RPT is asked for its reports",
            observed="it was played as a black box: of the reports nothing is said",
        )


@check(scope=Scope.CASE, obligations=tuple(_AT_ITS_ADDRESS.values()))
def report_arrives(view: CaseView) -> Iterator[Judgement]:
    """Each step that expects a report gets one, at an address that the record names, and it says what happened.

    Nothing is said of a target that does not claim TLS-RPT: cases that are about nothing else are not played on it.
    """
    for step in view.case.steps:
        expect = step.expect
        if expect is None or not expect.report:
            continue
        times = view.step_times(step.name)
        if times is None or not comparable(view):
            continue
        if not reports_left(view, times[0]):
            yield inconclusive("reports-never-left", "the target was not asked, or did not answer", step.name)
        elif not all(view.offered(one) for one in view.case.steps if one.reports):
            # A report that was refused may come again in a step that the target does not offer.
            continue
        else:
            yield (found := _reported(view, step, expect))
            if found.reason == _SENT_ELSEWHERE and found.obligation not in _AT_ITS_ADDRESS.values():
                yield from _missed_its_address(view, found)


def _missed_its_address(view: CaseView, found: Judgement) -> Iterator[Judgement]:
    """A report went over the right channel and still not to the address that the record gives for it."""
    places = wanted(view)
    channels = {"https" if "://" in place else "mail" for place in places}
    used = {arrival.fact.transport for arrival in about_the_case(view) if arrival.taken}
    for channel, obligation in _AT_ITS_ADDRESS.items():
        if channel in channels and used == {channel}:
            expected = f"a report at {' or '.join(sorted(places))}"
            yield replace(found, grade=view.grade_of(obligation), obligation=obligation, expected=expected)


def _reported(view: CaseView, step: Step, expect: Expectation) -> Judgement:
    found = about_the_case(view)
    if expect.report == ("none",):
        if found and _is_about_earlier_steps_only(view, step, found):
            return _before_it_was_withdrawn(view, step, expect, found)
        if not found and not view.sends_reports:
            # One that sends none to anybody has not shown that it minds this record.
            unproved = _judged(view, step, expect, "no-report-to-anybody", found, bad=False)
            return replace(unproved, grade=Grade.INFO, observed="no report, and none about any other case of this run")
        return _judged(view, step, expect, "report-not-wanted" if found else "no-report", found, bad=bool(found))
    here = wanted(view)
    right = [arrival for arrival in found if arrival.taken and arrival.place in here and _in_time(view, arrival)]
    if not found and (why := _unmet(view)):
        return inconclusive("nothing-to-report", why, step.name)
    if not found and not _over_a_channel_of_its_own(view):
        return replace(_judged(view, step, expect, "asked-over-another-channel", found, bad=False), grade=Grade.INFO)
    if not right:
        return _judged(view, step, expect, _why_none(view, found), found, bad=True)
    if any(arrival.fact.size > len(arrival.fact.octets) for arrival in right):
        return inconclusive("report-too-large", "the report was too large to be kept", step.name)
    if expect.report[0] in _WORDS:
        return _judged(view, step, expect, "reported", right, bad=False)
    named = {kind for arrival in right for kind in _types_that_count(view, arrival)}
    if named & set(expect.report):
        return _judged(view, step, expect, "reported", right, bad=False)
    if not named and (passed := _no_fetch_failed(view, step, expect, right)):
        return passed
    reason = OTHER_FAILURE if named else FILED_ELSEWHERE
    return replace(_judged(view, step, expect, reason, right, bad=True), harm=Harm.UNTRUE_REPORT)


def _no_fetch_failed(view: CaseView, step: Step, expect: Expectation, found: Sequence[Arrival]) -> Judgement | None:
    """Return that no report of a failed fetch is owed by a target that tried none from a step on.

    RFC 8461, section 5.1: while a policy lasts a sender may look for a newer one, and need not.
    """
    times = view.step_times(step.name)
    fetches_only = set(expect.report) <= STS_DISCOVERY_FAILURES
    if times is None or not fetches_only or view.facts.looked_for_the_policy(times[0], view.end):
        return None
    judged = _judged(view, step, expect, "no-fetch-tried", found, bad=False)
    observed = f"{judged.observed}; the target did not look for the policy in this step, so that no fetch failed"
    return replace(judged, grade=Grade.INFO, observed=observed)


def _over_a_channel_of_its_own(view: CaseView) -> bool:
    """Whether the domain wanted reports over a channel that the target says it uses, if it says which."""
    used = view.about.report_channels
    return not used or any(("https" if "://" in place else "mailto") in used for place in wanted(view))


def _is_about_earlier_steps_only(view: CaseView, step: Step, found: Sequence[Arrival]) -> bool:
    """Whether reports went to where the domain wanted them before a step, and count no session from the step on."""
    times = view.step_times(step.name)
    earlier = view.case.steps[: view.case.steps.index(step)]
    places = [place for one in earlier for place in wanted_places(view.facts.domain, one.world.reports)]
    if times is None or not all(arrival.place in places for arrival in found):
        return False
    reached = view.facts.of_kind(ConnectionAccepted)
    before = sum(fact.role in RECEIVING and event.at < times[0] for event, fact in reached)
    blocks = [arrival.parsed.policies for arrival in found]
    return all(0 < sum((one.successful or 0) + (one.failed or 0) for one in some) <= before for some in blocks)


def _before_it_was_withdrawn(view: CaseView, step: Step, expect: Expectation, found: Sequence[Arrival]) -> Judgement:
    """RFC 8460 does not say whether the record counts that stood at the session, or the one at the day's end."""
    judged = _judged(view, step, expect, "wanted-at-the-session", found, bad=False)
    observed = f"{judged.observed}; it counts only sessions from before the record was withdrawn"
    return replace(judged, grade=Grade.INFO, observed=observed)


def _types_that_count(view: CaseView, arrival: Arrival) -> Iterator[str]:
    """Yield the result types that count as reported (RFC 8460, section 4.2.2).

    A failure without sessions, or filed under no policy although it broke one, does not count.
    """
    under_policy = _is_under_policy(view)
    for policy in arrival.parsed.policies:
        for failure in policy.failures or ():
            discovery = failure.result_type in STS_DISCOVERY_FAILURES | DANE_DISCOVERY_FAILURES
            backed = failure.failed_session_count or policy.failed
            if (
                failure.result_type
                and backed
                and (policy.policy_type in ("sts", "tlsa") or discovery or not under_policy)
            ):
                yield failure.result_type


def _is_under_policy(view: CaseView) -> bool:
    return view.case.mode in (Mode.ENFORCE, Mode.TESTING)


def _in_time(view: CaseView, arrival: Arrival) -> bool:
    """Whether a report came before the last step that asked for it had ended: afterwards an attack may be over."""
    asking = [step.name for step in view.case.steps if step.reports]
    times = view.step_times(asking[-1]) if asking else None
    return times is None or arrival.event.at <= times[1]


def _unmet(view: CaseView) -> str:
    """Say why there may have been nothing to report on: a target that was not met in a step is not blamed for silence.

    It may be the lab that nobody could ask: what is not on record then is no proof of anything.
    """
    for step in view.case.steps:
        if not step.send or not view.offered(step):
            continue
        message = view.message(step)
        if message is None:
            return f"the target took no message in the step {step.name}"
        if not message.contacts():
            return f"no query and no connection in the step {step.name}"
    return ""


def _why_none(view: CaseView, found: Sequence[Arrival]) -> str:
    if not found:
        return "no-report"
    if not any(_in_time(view, arrival) for arrival in found):
        return "too-late"
    return _SENT_ELSEWHERE if any(arrival.taken for arrival in found) else "given-up"


def _judged(
    view: CaseView, step: Step, expect: Expectation, reason: str, found: Sequence[Arrival], *, bad: bool
) -> Judgement:
    grade_if_bad = Grade.INFO if expect.report_optional else view.grade_of(expect.report_obligation)
    wishes = {"success": "a report without failures", "any": "a report", "none": "no report"}
    named = wishes.get(expect.report[0], f"a report that names {' or '.join(expect.report)}")
    if reason == FILED_ELSEWHERE and _is_under_policy(view) and not set(expect.report) <= STS_DISCOVERY_FAILURES:
        named += " under the domain's policy (policy-type sts)"
    return Judgement(
        grade_if_bad if bad else Grade.PASS,
        reason,
        obligation=expect.report_obligation,
        step=step.name,
        expected=named,
        observed=_observed(found),
        blame="target" if bad and grade_if_bad is not Grade.INFO else "nobody",
        evidence=numbers([arrival.event for arrival in found]),
    )


def _observed(found: Sequence[Arrival]) -> str:
    """Return what the reports name, and under which policy-type."""
    if not found:
        return "no report"
    named = sorted(
        {
            f"{kind} under policy-type {policy.policy_type or 'missing'}"
            + ("" if failure.failed_session_count or policy.failed else " without a failed session")
            for arrival in found
            for policy in arrival.parsed.policies
            for failure in policy.failures or ()
            if (kind := failure.result_type)
        }
    )
    many = f" ({len(found)} arrived)" if len(found) > 1 else ""
    return f"{found[-1].described()}, naming {', '.join(named) or 'no failure'}{many}"


# ---------------------------------------------------------------------------------------------------------------------
# The report itself


@check(scope=Scope.CASE)
def report_is_well_made(view: CaseView) -> Iterator[Judgement]:
    """Everything that a report shows by itself: its JSON, its fields, its mail, its signature."""
    found: dict[tuple[str, Finding], list[Arrival]] = {}
    for arrival in judged_arrivals(view):
        arrived = arrived_at(view, arrival)
        early = before_any_connection(view, arrival.window)
        for one in grade(arrival.parsed, view.requirements, _dkim_keys(view), arrived):
            if not (early and one.reason == "perhaps-missing"):
                found.setdefault((arrival.report_id, one), []).append(arrival)
    # What is wrong with all copies of a report is said once.
    yield from (_finding(view, copies, one) for (_, one), copies in found.items())


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
    types = [kind for expect in expecting for kind in expect.report if kind not in _WORDS]
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


def comparable(view: CaseView) -> bool:
    """Whether reports are judged in a case at all: what the lab itself had a fault in, it cannot hold against one."""
    broken = view.facts.of_kind(LabFailed) or view.of_run.of_kind(LabFailed)
    return view.case.judges_reports and CAPABILITY in view.about.capabilities and not broken


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
