"""A sender that never looked since a policy was replaced lives by the older one: against advice, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    ClockAdvanced,
    DnsAnswered,
    MessageAccepted,
    MessageInjected,
    StepBegan,
    StepEnded,
    TargetRestarted,
)
from mta_sts_lab.model.case import AttackUse, Case
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import Policy, World

from tests.judge.stories import CASES, DOMAIN, ENFORCE, Line, reasons, record, resisted, taken_in, verdict

LOOK = DnsAnswered(name=f"_mta-sts.{DOMAIN[ENFORCE]}", type="TXT", transport="udp", rcode="NOERROR")
LEAKS = {"delivered-clear", "read-in-clear", "envelope-in-clear"}


def _case(before: Policy, now: Policy, outcome: str) -> Case:
    """The strip scenario with another policy in the step of the attack."""
    prime, attack, recover = CASES[ENFORCE].steps
    assert attack.expect is not None
    expect = replace(attack.expect, outcome=(outcome,))
    steps = (
        replace(prime, world=World(policy=before)),
        replace(attack, world=World(policy=now), expect=expect),
        recover,
    )
    return replace(CASES[ENFORCE], steps=steps)


#: The domain relaxes and the sender holds; the domain tightens and the sender lets go.
RELAXED = _case(Policy(), Policy(mode="none", revision=2), "delivered")
TIGHTENED = _case(Policy(mode="testing"), Policy(revision=2), "deferred")


def _looking(story: list[Line]) -> list[Line]:
    place = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], MessageInjected))
    return [*story[: place + 1], (ENFORCE, "attack", LOOK), *story[place + 1 :]]


@pytest.mark.parametrize(
    ("case", "story"), [(RELAXED, resisted()), (TIGHTENED, taken_in(ENFORCE))], ids=["relaxed", "tightened"]
)
def test_who_did_not_look_keeps_the_older_policy_against_advice_only(case: Case, story: list[Line]) -> None:
    unaware = verdict(record(story, taken_in(), cases=(case, CASES["starttls/strip[absent]"])))
    assert unaware.grade is Grade.INFO
    found = [one for one in unaware.judgements if one.reason == "followed-an-older-policy"]
    assert [(one.obligation, one.step) for one in found] == [("STS-10.2-01", "attack")]
    assert not reasons(unaware) & LEAKS


@pytest.mark.parametrize(
    ("case", "story"), [(RELAXED, resisted()), (TIGHTENED, taken_in(ENFORCE))], ids=["relaxed", "tightened"]
)
def test_who_looked_has_no_such_excuse(case: Case, story: list[Line]) -> None:
    aware = verdict(record(_looking(story), taken_in(), cases=(case, CASES["starttls/strip[absent]"])))
    assert aware.grade is Grade.FAIL
    assert "followed-an-older-policy" not in reasons(aware)


def test_where_nothing_was_replaced_there_is_no_older_policy() -> None:
    leaking = verdict(record(taken_in(ENFORCE), taken_in()))
    assert leaking.grade is Grade.FAIL
    assert reasons(leaking) >= LEAKS - {"envelope-in-clear"}


def _after(fact: AnyFact, story: list[Line]) -> list[Line]:
    """Something befalls the target between the two steps."""
    place = next(n for n, line in enumerate(story) if line[1] == "attack")
    return [*story[:place], ("", "", fact), *story[place:]]


@pytest.mark.parametrize(
    ("case", "story"), [(RELAXED, resisted()), (TIGHTENED, taken_in(ENFORCE))], ids=["relaxed", "tightened"]
)
def test_what_had_expired_or_was_forgotten_excuses_nothing(case: Case, story: list[Line]) -> None:
    cases = (case, CASES["starttls/strip[absent]"])
    expired = verdict(record(_after(ClockAdvanced(seconds=604800), story), taken_in(), cases=cases))
    assert "followed-an-older-policy" not in reasons(expired)
    restart = _after(TargetRestarted(signal="KILL"), story)
    kept = verdict(record(restart, taken_in(), cases=cases))
    assert "followed-an-older-policy" in reasons(kept)
    assert expired.grade is Grade.FAIL
    made = record(restart, taken_in(), cases=cases)
    about = replace(made.header.about, policy_cache="volatile")
    made = replace(made, header=msgspec.structs.replace(made.header, about=about))
    assert "followed-an-older-policy" not in reasons(verdict(made))


def _hidden(max_age: int, attacks: tuple[AttackUse, ...]) -> Case:
    """The strip scenario with a policy of a limited life, and something in the way to it in the step of the attack."""
    prime, attack, recover = CASES[ENFORCE].steps
    world = World(policy=Policy(max_age=max_age))
    steps = (
        replace(prime, world=world),
        replace(attack, world=world, attacks=(*attack.attacks, *attacks), advance=86400),
        recover,
    )
    return replace(CASES[ENFORCE], steps=steps)


HIDES = AttackUse("hide_policy_record", "dns", {"how": "NXDOMAIN"}, optional=True)


def _day_later(max_age: int, attacks: tuple[AttackUse, ...], *, stamped: bool = True, looks: bool = False) -> Verdict:
    """Return the verdict on a sender whose message leaves a day later; `stamped`: with that day's time in it."""
    case = _hidden(max_age, attacks)
    if looks:
        first, *others = case.steps
        announced = replace(first, name="announced", world=replace(first.world, policy=Policy(revision=2)), send=False)
        case = replace(case, steps=(first, announced, *others))
    later = datetime.fromisoformat("2025-01-06T09:00:00+00:00").timestamp() + 86500
    story: list[Line] = []
    for name, step, fact in taken_in(ENFORCE):
        dated = stamped and step == "attack" and isinstance(fact, MessageAccepted)
        story.append((name, step, msgspec.structs.replace(fact, stamped=later) if dated else fact))
        if step == "attack" and isinstance(fact, StepBegan):
            story.append(("", "", ClockAdvanced(seconds=86400)))
            for one in attacks:
                forged = msgspec.structs.replace(LOOK, rcode="NXDOMAIN", tampered_by=one.name)
                fired = AttackFired(attack=one.name, channel=one.channel, detail="hidden")
                story += [(ENFORCE, "attack", forged), (ENFORCE, "attack", fired)]
    if looks:
        place = next(n for n, line in enumerate(story) if line[1] == "attack")
        story[place:place] = [(ENFORCE, "announced", fact) for fact in (StepBegan(), LOOK, StepEnded())]
    return verdict(record(story, taken_in(), cases=(case, CASES["starttls/strip[absent]"])))


@pytest.mark.parametrize(
    ("max_age", "attacks", "grade"),
    [(3600, (HIDES,), Grade.INFO), (3600, (), Grade.FAIL), (604800, (HIDES,), Grade.FAIL)],
    ids=["ended and hidden", "ended, and there to be fetched", "not ended"],
)
def test_who_had_nothing_left_to_keep_left_out_advice_only(
    max_age: int, attacks: tuple[AttackUse, ...], grade: Grade
) -> None:
    """It had a day to look for a newer policy, and RFC 8461, section 5.1, leaves that to the sender."""
    found = _day_later(max_age, attacks)
    assert found.grade is grade
    ended = [(one.obligation, one.step) for one in found.judgements if one.reason == "policy-had-ended"]
    assert ended == ([("STS-10.2-01", "attack")] if grade is Grade.INFO else [])
    assert bool(reasons(found) & LEAKS) is (grade is Grade.FAIL)


def test_that_a_policy_had_ended_rests_on_the_clock() -> None:
    found = _day_later(3600, (HIDES,), stamped=False)
    assert (found.grade, "clock-not-seen-to-move" in reasons(found)) == (Grade.INCONCLUSIVE, True)


def test_who_saw_a_newer_policy_announced_has_no_such_excuse() -> None:
    found = _day_later(3600, (HIDES,), looks=True)
    assert found.grade is Grade.FAIL
    assert "policy-had-ended" not in reasons(found)
