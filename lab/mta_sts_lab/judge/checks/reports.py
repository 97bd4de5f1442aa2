"""TLS-RPT: whether the target reported (RFC 8460, and RFC 8461, section 6).

These checks decide whether a report was owed, whether it came to where it was wanted, and whether it names the failure.
What it says in full is judged in `report_content`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mta_sts_lab.events import ConnectionAccepted, LabFailed
from mta_sts_lab.judge.arrivals import (
    Arrival,
    about_the_case,
    reports_left,
    wanted,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.view import CaseView, inconclusive, numbers
from mta_sts_lab.model.case import Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.published import wanted_places
from mta_sts_lab.rfc.result_types import DANE_DISCOVERY_FAILURES, STS_DISCOVERY_FAILURES

CAPABILITY = "tls-rpt"

#: The reason where no failure that the report names is one under the domain's policy.
FILED_ELSEWHERE = "failure-not-reported"

#: The reason where the failures that a report names are none of those that the attack makes.
OTHER_FAILURE = "reported-as-something-else"

#: The reason where a report went, but to no address at which it is wanted.
_SENT_ELSEWHERE = "sent-elsewhere"

#: The reason where no report came that nobody wanted, from a target that has sent none to anybody.
NO_REPORT_TO_ANYBODY = "no-report-to-anybody"

#: What a report breaks that goes over a wanted channel, by name, to another address.
_AT_ITS_ADDRESS = {"https": "RPT-3-05", "mail": "RPT-3-07"}

#: What an expectation says of a report instead of a result type.
WORDS = ("success", "any", "none")


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
            unproved = _judged(view, step, expect, NO_REPORT_TO_ANYBODY, found, bad=False)
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
    if not (right := _about_the_step(view, step, right)):
        missing = _judged(view, step, expect, "no-report", (), bad=True)
        return replace(missing, observed=f"{_observed(found)}; none is about the time of this step")
    if any(arrival.fact.size > len(arrival.fact.octets) for arrival in right):
        return inconclusive("report-too-large", "the report was too large to be kept", step.name)
    if expect.report[0] in WORDS:
        return _judged(view, step, expect, "reported", right, bad=False)
    named = {kind for arrival in right for kind in _types_that_count(view, arrival)}
    if named & set(expect.report):
        return _judged(view, step, expect, "reported", right, bad=False)
    if not named and (passed := _no_fetch_failed(view, step, expect, right)):
        return passed
    reason = OTHER_FAILURE if named else FILED_ELSEWHERE
    return replace(_judged(view, step, expect, reason, right, bad=True), harm=Harm.UNTRUE_REPORT)


def _about_the_step(view: CaseView, step: Step, found: Sequence[Arrival]) -> list[Arrival]:
    """Return the reports that may be about the time of a step: in a case of several days, another day's says nothing.

    That of a step which lasts until after the call for its reports may be in either of two.
    """
    times = view.step_times(step.name)
    assert times is not None
    return [arrival for arrival in found if arrival.window.may_be_about(*times)]


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


def comparable(view: CaseView) -> bool:
    """Whether reports are judged in a case at all: what the lab itself had a fault in, it cannot hold against one."""
    broken = view.facts.of_kind(LabFailed) or view.of_run.of_kind(LabFailed)
    return view.case.judges_reports and CAPABILITY in view.about.capabilities and not broken
