"""No policy request may follow from a record that must be skipped."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab.events import AnyFact, ClockAdvanced, DnsAnswered, MessageInjected, PolicyRequested
from mta_sts_lab.judge.checks.discovery import FOLLOWS_WITHIN
from mta_sts_lab.model.case import Case, PolicyRequests
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.world import Policy, World

from tests.judge.stories import (
    CASES,
    ENFORCE,
    Line,
    changed,
    policy_facts,
    reasons,
    record,
    resisted,
    taken_in,
    verdict,
)

REASON = "policy-requested-on-invalid-record"
VALID = ("v=STSv1; id=1;",)


def _attacked(*answers: tuple[str, ...], base: Case | None = None, fetch: bool = True) -> list[tuple[Grade, str, str]]:
    """Judge a sender that gets some TXT answers while it is attacked, and fetches the policy again."""
    ask, *request = policy_facts(ENFORCE)
    assert isinstance(ask, DnsAnswered)
    looks: list[AnyFact] = [msgspec.structs.replace(ask, answers=answer) for answer in answers]
    again = [msgspec.structs.replace(fact, session="again") if hasattr(fact, "session") else fact for fact in request]
    story = resisted()
    spot = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], MessageInjected))
    between: list[Line] = [(ENFORCE, "attack", fact) for fact in [*looks, *(again if fetch else [])]]
    case = base or changed(CASES[ENFORCE], "attack", expect=_kept())
    made = record(
        [*story[: spot + 1], *between, *story[spot + 1 :]], taken_in(), cases=(case, CASES["starttls/strip[absent]"])
    )
    return [(one.grade, one.obligation, one.reason) for one in verdict(made).judgements if one.step == "attack"]


def _kept() -> object:
    expect = CASES[ENFORCE].steps[1].expect
    assert expect is not None
    return replace(expect, obligation="STS-3.1-13")


@pytest.mark.parametrize(
    ("answers", "obligation"),
    [
        ([("v=STSv1; id=2019-04-29;",)], "STS-3.1-12"),
        ([("v=STSv1; id=1;", "v=STSv1; id=2;")], "STS-3.1-11"),
        ([VALID], ""),
        ([VALID, ("v=STSv1; id=2019-04-29;",)], ""),
        ([], ""),
        ([()], ""),
    ],
)
def test_a_request_follows_from_a_valid_record_only(answers: list[tuple[str, ...]], obligation: str) -> None:
    found = [one for one in _attacked(*answers) if one[2] == REASON]
    assert found == ([(Grade.FAIL, obligation, REASON)] if obligation else [])


def test_where_the_scenario_counts_the_requests_they_are_judged_once() -> None:
    expect = CASES[ENFORCE].steps[1].expect
    assert expect is not None
    counting = replace(expect, policy_requests=PolicyRequests("STS-3.1-12", most=0))
    found = _attacked(("v=STSv1; id=2-1;",), base=changed(CASES[ENFORCE], "attack", expect=counting))
    assert REASON not in {reason for _, _, reason in found}
    assert (Grade.FAIL, "STS-3.1-12", "requested-too-often") in found


def test_a_hold_by_a_policy_that_was_fetched_again_proves_no_cache() -> None:
    assert (Grade.INFO, "STS-3.1-13", "held-by-a-policy-fetched-again") in _attacked(VALID)
    assert (Grade.PASS, "STS-3.1-13", "deferred") in _attacked(VALID, fetch=False)
    broken = changed(CASES[ENFORCE], "attack", expect=_kept(), world=World(policy=Policy(lines=("version: STSv1",))))
    assert (Grade.PASS, "STS-3.1-13", "deferred") in _attacked(VALID, base=broken), "what was fetched is no policy"


def _put_off(status: int, *, later: float = 0.0, looks_again: bool = False, advance: int = 0) -> set[str]:
    """Judge a sender that got a valid record in the first step, where its fetch gave another status, or none (0).

    It asks for the policy behind a spoiled record in the next step, which begins so many seconds later. It may have
    looked at the record once more in the first step, or the target's clock may have been moved.
    """
    ask, *request = policy_facts(ENFORCE)
    assert isinstance(ask, DnsAnswered)
    spoiled = msgspec.structs.replace(ask, answers=("v=STSv1; id=2019-04-29;",))
    again = [msgspec.structs.replace(fact, session="again") if hasattr(fact, "session") else fact for fact in request]
    first: list[Line] = [
        (name, step, msgspec.structs.replace(fact, status=status) if isinstance(fact, PolicyRequested) else fact)
        for name, step, fact in resisted()
        if status or not (step == "prime" and fact in request)
    ]
    spot = next(n for n, line in enumerate(first) if line[1] == "attack" and isinstance(line[2], MessageInjected))
    between: list[Line] = [(ENFORCE, "attack", fact) for fact in (spoiled, *again)]
    if looks_again:
        between.insert(0, (ENFORCE, "prime", ask))
    if advance:
        between.insert(0, ("", "", ClockAdvanced(seconds=advance)))
    made = record([*first[: spot + 1], *between, *first[spot + 1 :]], taken_in())
    events = tuple(msgspec.structs.replace(one, at=one.at + later * (one.step != "prime")) for one in made.events)
    return reasons(verdict(replace(made, events=events)))


@pytest.mark.parametrize("status", [0, 503])
def test_a_request_may_follow_from_the_valid_record_of_the_step_before(status: int) -> None:
    assert REASON not in _put_off(status)
    assert REASON in _put_off(status, later=FOLLOWS_WITHIN), "by then it is a look at the spoiled one"


def test_a_record_that_led_to_a_policy_leads_to_no_second_one() -> None:
    assert REASON in _put_off(200)
    assert REASON in _put_off(200, looks_again=True), "it is the same record"
    assert REASON not in _put_off(200, looks_again=True, advance=86400), "the policy may have expired"
