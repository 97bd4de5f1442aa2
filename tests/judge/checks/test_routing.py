"""In which order the hosts of a domain are tried: also by a target that remembers them."""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.events import AnyFact, CaseEnded, StepBegan, StepEnded, TlsEstablished
from mta_sts_lab.model.case import Expectation, Step
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import MxHost, World

from tests.judge import stories
from tests.judge.stories import ENFORCE

BEST_IS_MX2 = World(mx=(MxHost(name="mx1", preference=20), MxHost(name="mx2", preference=10)))


def to_mx1(before: World, *, asks: bool, now: World = BEST_IS_MX2) -> Verdict:
    """The verdict on a message that is delivered to mx1, with or without a look-up of the MX records."""
    steps = (
        Step("prime", before, learns_policy=True),
        Step("attack", now, expect=Expectation(("delivered-authenticated",), "SMTP-5.1-05")),
    )
    case = replace(stories.CASES[ENFORCE], control="", steps=steps)
    facts: list[AnyFact] = [
        StepBegan(),
        stories.injected(ENFORCE, "attack"),
        *([stories.mx_query(ENFORCE)] if asks else []),
        stories.connection(ENFORCE, "x"),
        TlsEstablished(session="x", version="TLSv1.3", certificate="valid"),
        stories.accepted(ENFORCE, "attack", "x"),
        stories.quits("x"),
        stories.gone(ENFORCE),
        StepEnded(),
        CaseEnded(),
    ]
    story = stories.prime(ENFORCE) + [(ENFORCE, "attack", fact) for fact in facts]
    return stories.verdict(stories.record(story, cases=(case,)))


def test_a_worse_host_is_tried_first() -> None:
    assert "not-by-preference" in stories.reasons(to_mx1(BEST_IS_MX2, asks=True))


def test_who_remembers_the_hosts_is_judged_as_well() -> None:
    assert "not-by-preference" in stories.reasons(to_mx1(BEST_IS_MX2, asks=False))


def test_who_remembers_other_hosts_is_not_blamed_for_what_it_did_not_meet() -> None:
    """It goes to mx1, which was the only host when it asked; mx2 has come since, as the better one."""
    mx1, mx2 = BEST_IS_MX2.mx
    changed = to_mx1(World(mx=(mx1, replace(mx2, mx_record=False))), asks=False)
    assert stories.reasons(changed) & {"not-by-preference", "hosts-not-looked-up"} <= {"hosts-not-looked-up"}
    same = to_mx1(World(mx=(mx1, replace(mx2, certificate="expired"))), asks=False)
    assert "hosts-not-looked-up" not in stories.reasons(same), "DNS says the same of the hosts"


def test_of_the_hosts_that_are_up_the_best_comes_first() -> None:
    """What the lab sees of a sender that passes over a host that is down is which host it goes to next."""
    up = World(mx=(MxHost(name="mx3", preference=10), *BEST_IS_MX2.mx))
    down = World(mx=(MxHost(name="mx3", preference=10, reachable=False), *BEST_IS_MX2.mx))
    assert "not-by-preference" in stories.reasons(to_mx1(up, asks=True, now=down))


def test_a_host_that_was_down_before_may_be_passed_over() -> None:
    mx1, mx2 = BEST_IS_MX2.mx
    down = World(mx=(mx1, replace(mx2, reachable=False)))
    assert "not-by-preference" not in stories.reasons(to_mx1(down, asks=True))
