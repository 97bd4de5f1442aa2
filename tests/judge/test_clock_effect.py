"""What a step after a move of the target's clock proves, and what shows that the clock moved at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import msgspec
import pytest
from mta_sts_lab.events import AnyFact, CaseEnded, ClockAdvanced, MessageAccepted, StepBegan, StepEnded
from mta_sts_lab.judge import views_of
from mta_sts_lab.model.case import Case, Expectation, PolicyRequests, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import Policy, World
from mta_sts_lab.requirements import load_requirements

from tests.judge.stories import (
    ABSENT,
    ATTACK,
    CASES,
    ENFORCE,
    Line,
    gone,
    held,
    injected,
    policy_facts,
    prime,
    reasons,
    record,
    resisted,
    resisted_attempt,
    taken_in,
    taken_in_attempt,
    verdict,
)

BEGAN = datetime.fromisoformat("2025-01-06T09:00:00+00:00").timestamp()
HOUR = ClockAdvanced(seconds=3600)

#: The policy lasts for a week: an hour later it has to hold mail as before.
LATER = replace(
    CASES[ENFORCE],
    steps=tuple(replace(step, advance=3600) if step.name == "attack" else step for step in CASES[ENFORCE].steps),
)


def _later(stamped: float = 0.0) -> list[Line]:
    """The story of a sender that held the message an hour later; `stamped` is the time that it put into it."""
    lines = resisted()
    at = next(number for number, line in enumerate(lines) if line[1] == "attack" and isinstance(line[2], StepBegan))
    lines.insert(at + 1, ("", "", HOUR))

    def dated(fact: AnyFact) -> AnyFact:
        return msgspec.structs.replace(fact, stamped=stamped) if isinstance(fact, MessageAccepted) else fact

    return [(case, step, dated(fact) if step == "recover" else fact) for case, step, fact in lines]


def _judged(lines: list[Line], case: Case) -> Verdict:
    return verdict(record(lines, taken_in(), cases=(case, CASES[ABSENT])))


@pytest.mark.parametrize(
    ("stamped", "grade"),
    [(0.0, Grade.INCONCLUSIVE), (BEGAN + 1, Grade.INCONCLUSIVE), (BEGAN + 3601, Grade.PASS)],
    ids=["no time in the message", "the time of the lab", "the time to which the clock was moved"],
)
def test_a_hold_late_in_the_life_of_a_policy_rests_on_the_clock(stamped: float, grade: Grade) -> None:
    found = _judged(_later(stamped), LATER)
    assert found.grade is grade
    assert reasons(found) == (set() if grade is Grade.PASS else {"clock-not-seen-to-move"})


def test_a_leak_is_one_whatever_the_clock_shows() -> None:
    leak: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(ENFORCE, "attack"),
        *taken_in_attempt(ENFORCE, "late"),
        StepEnded(),
    ]
    after = [(ENFORCE, "recover", fact) for fact in (StepBegan(), StepEnded(), CaseEnded())]
    lines = [*prime(ENFORCE), ("", "", HOUR), *((ENFORCE, "attack", fact) for fact in leak), *after]
    assert _judged(lines, LATER).grade is Grade.FAIL


#: The policy lasts for an hour: held before, and let go when two have passed.
SHORT = World(policy=Policy(max_age=3600))
LAPSES = replace(
    CASES[ENFORCE],
    steps=(
        Step("prime", SHORT, learns_policy=True),
        Step("attack", SHORT, attacks=(ATTACK,), expect=Expectation(("deferred",), "STS-5-03")),
        Step(
            "lapse",
            SHORT,
            attacks=(ATTACK,),
            advance=7200,
            send=False,
            expect=Expectation(("delivered",), "STS-3.2-09"),
        ),
    ),
)


def _lapses(*facts: AnyFact) -> list[Line]:
    held_first: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(ENFORCE, "attack"),
        *resisted_attempt(ENFORCE, "attacked-1"),
        held(ENFORCE),
        *resisted_attempt(ENFORCE, "attacked-2"),
        held(ENFORCE),
        StepEnded(),
    ]
    moved = ("", "", ClockAdvanced(seconds=7200))
    step: list[AnyFact] = [StepBegan(attacks=("strip_starttls",)), *facts, StepEnded(), CaseEnded()]
    before = [(ENFORCE, "attack", fact) for fact in held_first]
    return [*prime(ENFORCE), *before, moved, *((ENFORCE, "lapse", fact) for fact in step)]


STILL = (*resisted_attempt(ENFORCE, "l-1"), held(ENFORCE), *resisted_attempt(ENFORCE, "l-2"), held(ENFORCE))
LET_GO = (*taken_in_attempt(ENFORCE, "l-1"), gone(ENFORCE))


def test_a_policy_that_outlives_its_age_is_a_finding_only_where_the_clock_is_seen_to_move() -> None:
    assert LAPSES.shows_the_clock
    assert not LATER.shows_the_clock
    found = _judged(_lapses(*STILL), LAPSES)
    assert "clock-not-seen-to-move" in reasons(found)
    assert found.grade is Grade.INCONCLUSIVE


@pytest.mark.parametrize(
    ("facts", "seen"), [(LET_GO, True), (STILL, False)], ids=["it no longer counts", "it still counts"]
)
def test_a_policy_that_no_longer_counts_shows_that_the_clock_moved(facts: tuple[AnyFact, ...], seen: bool) -> None:
    made = record(_lapses(*facts), taken_in(), cases=(LAPSES, CASES[ABSENT]))
    views = views_of(made, load_requirements())
    assert [view.clock_seen_to_move for view in views] == [seen, seen]
    assert ("clock-not-seen-to-move" in reasons(verdict(made))) is not seen


def test_mail_that_nothing_ever_held_shows_nothing_of_the_clock() -> None:
    held_before = replace(LAPSES.steps[1], name="before", attacks=())
    case = replace(LAPSES, steps=(LAPSES.steps[0], held_before, *LAPSES.steps[2:]))
    story = [(name, "before" if step == "attack" else step, fact) for name, step, fact in _lapses(*LET_GO)]
    made = record(story, taken_in(), cases=(case, CASES[ABSENT]))
    assert not any(view.clock_seen_to_move for view in views_of(made, load_requirements()))


def _let_go_at_once(*, stamped: float = 0.0) -> Verdict:
    """Return the verdict on a policy of an hour's life that no longer counts two hours later, for a new message."""
    expect = Expectation(("delivered",), "STS-3.2-09")
    attack = replace(LAPSES.steps[1], advance=7200, expect=expect)
    case = replace(LAPSES, steps=(LAPSES.steps[0], attack))
    facts: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(ENFORCE, "attack"),
        *taken_in_attempt(ENFORCE, "late"),
        StepEnded(),
        CaseEnded(),
    ]
    dated = [
        msgspec.structs.replace(fact, stamped=stamped) if isinstance(fact, MessageAccepted) else fact for fact in facts
    ]
    (began, *rest) = [(ENFORCE, "attack", fact) for fact in dated]
    return _judged([*prime(ENFORCE), began, ("", "", ClockAdvanced(seconds=7200)), *rest], case)


def test_mail_that_leaves_because_the_policy_has_ended_rests_on_the_clock() -> None:
    """By a clock that stood still the policy would forbid it: the same delivery would be a leak."""
    unseen = _let_go_at_once()
    assert (unseen.grade, reasons(unseen)) == (Grade.INCONCLUSIVE, {"clock-not-seen-to-move"})
    assert _let_go_at_once(stamped=BEGAN + 7201).grade is Grade.PASS


def test_a_sender_that_never_kept_to_the_policy_is_judged_by_that() -> None:
    leaked: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(ENFORCE, "attack"),
        *taken_in_attempt(ENFORCE, "early"),
        StepEnded(),
    ]
    later = [StepBegan(attacks=("strip_starttls",)), StepEnded(), CaseEnded()]
    story = [
        *prime(ENFORCE),
        *((ENFORCE, "attack", fact) for fact in leaked),
        ("", "", ClockAdvanced(seconds=7200)),
        *((ENFORCE, "lapse", fact) for fact in later),
    ]
    found = _judged(story, LAPSES)
    assert found.grade is Grade.FAIL
    assert "clock-not-seen-to-move" not in reasons(found)


def test_mail_that_a_sender_lets_go_before_the_policy_has_ended_shows_nothing_of_the_clock() -> None:
    """It may as well have relaxed at a late attempt."""
    week = World(policy=Policy(max_age=604800))
    case = replace(LAPSES, steps=tuple(replace(step, world=week) for step in LAPSES.steps))
    made = record(_lapses(*LET_GO), taken_in(), cases=(case, CASES[ABSENT]))
    assert not any(view.clock_seen_to_move for view in views_of(made, load_requirements()))


@pytest.mark.parametrize(
    ("bounds", "fetches", "doubted"),
    [
        (PolicyRequests(least=1, obligation="STS-5.1-01"), 0, True),
        (PolicyRequests(least=1, obligation="STS-5.1-01"), 1, False),
        (PolicyRequests(most=0, obligation="STS-3.3-12"), 0, True),
        (PolicyRequests(most=0, obligation="STS-3.3-12"), 1, False),
    ],
    ids=["too seldom", "often enough", "seldom enough", "too often"],
)
def test_requests_that_were_made_are_so_whatever_the_clock_shows(
    bounds: PolicyRequests, fetches: int, doubted: bool
) -> None:
    (expect,) = [step.expect for step in LATER.steps if step.name == "attack"]
    assert expect is not None
    counting = replace(expect, policy_requests=bounds)
    case = replace(
        LATER, steps=tuple(replace(one, expect=counting) if one.name == "attack" else one for one in LATER.steps)
    )
    lines = _later()
    at = next(number for number, line in enumerate(lines) if line[1] == "attack" and isinstance(line[2], StepEnded))
    lines[at:at] = [(ENFORCE, "attack", fact) for fact in policy_facts(ENFORCE) * fetches]
    (counted,) = [one for one in _judged(lines, case).judgements if one.check == "policy-request-count"]
    assert (counted.reason == "clock-not-seen-to-move") is doubted
