"""What a sender asked before it returned mail that a policy holds back, and notices that come late."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    BounceReceived,
    CaseEnded,
    DeadlinePassed,
    DnsAnswered,
    InjectionBegan,
    MessageAccepted,
    MessageInjected,
    PolicyRequested,
    StepBegan,
    StepEnded,
    TlsEstablished,
)
from mta_sts_lab.model.case import Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import World

from tests.judge.stories import (
    ABSENT,
    CASES,
    DOMAIN,
    ENFORCE,
    Line,
    accepted,
    case,
    connection,
    gone,
    held,
    injected,
    prime,
    quits,
    reasons,
    record,
    resisted,
    resisted_attempt,
    taken_in,
    token,
    verdict,
    without,
)

LOOK = DnsAnswered(name=f"_mta-sts.{DOMAIN[ENFORCE]}", type="TXT", transport="udp", rcode="NOERROR")
BEGUN = InjectionBegan(token=token(ENFORCE, "attack"))
NOTICE = BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="5.7.1")


def _returned(*facts: AnyFact, afterwards: tuple[AnyFact, ...] = (), older_waits: bool = False) -> Verdict:
    """Judge a case in which the message was returned; `facts` are the step's, behind its beginning."""
    return verdict(record(_story_of_return(*facts, afterwards=afterwards, older_waits=older_waits), taken_in()))


def _story_of_return(*facts: AnyFact, afterwards: tuple[AnyFact, ...] = (), older_waits: bool = False) -> list[Line]:
    first = prime(ENFORCE)
    if older_waits:
        first = without(first, lambda fact: isinstance(fact, MessageAccepted))
    attack = [StepBegan(attacks=("strip_starttls",)), *facts, StepEnded()]
    after = [StepBegan(), *afterwards, StepEnded(), CaseEnded()]
    return first + [(ENFORCE, "attack", fact) for fact in attack] + [(ENFORCE, "recover", fact) for fact in after]


MESSAGE: MessageInjected = injected(ENFORCE, "attack")
ATTEMPT = resisted_attempt(ENFORCE, "attacked-1")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param([BEGUN, LOOK, MESSAGE, *ATTEMPT, NOTICE], "bounced-after-policy-check", id="before its reply"),
        pytest.param([BEGUN, MESSAGE, *ATTEMPT, LOOK, NOTICE], "bounced-after-policy-check", id="when all had failed"),
        pytest.param(
            [LOOK, BEGUN, MESSAGE, *ATTEMPT, NOTICE], "bounced-before-policy-check", id="before the injection"
        ),
        pytest.param(
            [BEGUN, MESSAGE, *ATTEMPT, gone(ENFORCE), LOOK, NOTICE], "bounced-before-policy-check", id="when given up"
        ),
        pytest.param(
            [BEGUN, MESSAGE, gone(ENFORCE), held(ENFORCE), LOOK, *ATTEMPT, gone(ENFORCE), NOTICE],
            "bounced-after-policy-check",
            id="out of sight for a moment",
        ),
    ],
)
def test_a_look_counts_between_the_injection_and_the_giving_up(facts: list[AnyFact], reason: str) -> None:
    found = _returned(*facts)
    assert reasons(found) == {reason}
    assert found.grade is (Grade.WEAK if reason == "bounced-after-policy-check" else Grade.FAIL)


def test_whose_look_it_was_while_an_older_message_waited_nobody_knows() -> None:
    found = _returned(BEGUN, MESSAGE, LOOK, *ATTEMPT, NOTICE, older_waits=True)
    (judged,) = [one for one in found.judgements if one.reason == "bounced-perhaps-after-policy-check"]
    assert (judged.grade, judged.obligation) == (Grade.WEAK, "STS-5-08")
    assert "older message" in judged.observed
    unasked = _returned(BEGUN, MESSAGE, *ATTEMPT, NOTICE, older_waits=True)
    assert "bounced-before-policy-check" in reasons(unasked)


def test_a_notice_that_comes_after_the_step_is_judged_like_one_that_came_in_time() -> None:
    for look, reason in (([LOOK], "bounced-after-policy-check"), ([], "bounced-before-policy-check")):
        in_time = _returned(BEGUN, *look, MESSAGE, *ATTEMPT, gone(ENFORCE), NOTICE)
        late = _returned(BEGUN, *look, MESSAGE, *ATTEMPT, gone(ENFORCE), afterwards=(NOTICE,))
        assert reasons(late) == reasons(in_time) == {reason}
        assert late.steps[1].outcome == in_time.steps[1].outcome
    assert "lost" in reasons(_returned(BEGUN, MESSAGE, *ATTEMPT, gone(ENFORCE)))


@pytest.mark.parametrize("deadline", ["hand-over", "attack-session", "recover"])
def test_a_second_copy_after_the_lab_cut_a_session_off_is_not_the_targets(deadline: str) -> None:
    story = resisted()
    arrived = next(n for n, line in enumerate(story) if line[1] == "recover" and isinstance(line[2], MessageAccepted))
    first = story[arrived][2]
    assert isinstance(first, MessageAccepted)
    behind = msgspec.structs.replace(first, via="an attacker's")
    second: list[AnyFact] = [
        connection(ENFORCE, "honest-3"),
        TlsEstablished(session="honest-3", version="TLSv1.3", certificate="valid"),
        accepted(ENFORCE, "attack", "honest-3"),
    ]
    passed = DeadlinePassed(deadline=deadline, seconds=10, waited_for="the target to let go")
    lines = [(ENFORCE, "recover", fact) for fact in (passed, *second)]
    honest = verdict(record(story[: arrived + 1] + lines + story[arrived + 1 :], taken_in()))
    assert "arrived-twice" in reasons(honest), "where nobody is on the path the lab cuts nothing off"
    story[arrived : arrived + 1] = [(ENFORCE, "recover", behind)]
    story.append((ENFORCE, "recover", quits("an attacker's")))
    found = verdict(record(story[: arrived + 1] + lines + story[arrived + 1 :], taken_in()))
    if deadline == "recover":
        assert found.grade is Grade.FAIL
        assert "arrived-twice" in reasons(found)
    else:
        assert found.grade is Grade.INCONCLUSIVE
        assert "cut-off-by-the-lab" in reasons(found)
    before = story[:arrived] + lines[:1] + story[arrived : arrived + 1] + lines[1:] + story[arrived + 1 :]
    assert "arrived-twice" in reasons(verdict(record(before, taken_in()))), "the first copy came later"


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        (NOTICE, 'bounced (its notice says "status 5.7.1")'),
        (msgspec.structs.replace(NOTICE, diagnostic="550 TLS is required"), 'bounced (its notice says "550 TLS is'),
    ],
)
def test_a_return_is_told_in_the_words_of_its_notice(notice: BounceReceived, said: str) -> None:
    found = _returned(BEGUN, MESSAGE, *ATTEMPT, LOOK, notice)
    (judged,) = [one for one in found.judgements if one.reason == "bounced-after-policy-check"]
    assert judged.observed.startswith(said)


@pytest.mark.parametrize(("action", "grade"), [("unreadable", Grade.PASS), ("failed", Grade.FAIL)])
def test_a_notice_in_plain_words_may_be_about_a_delay(action: str, grade: Grade) -> None:
    """The queue holds the message still when it has come."""
    notice = (ENFORCE, "attack", msgspec.structs.replace(NOTICE, action=action))
    lines = resisted()
    at = next(number for number, line in enumerate(lines) if line[2] == held(ENFORCE))
    assert verdict(record([*lines[: at + 1], notice, *lines[at + 1 :]], taken_in())).grade is grade


def _given_up(
    *in_time: AnyFact, later: tuple[AnyFact, ...] = (), obligation: str = "STS-5.1-05", fetched: bool = True
) -> Verdict:
    """Judge a message that is held for days, and returned in a step that admits it."""
    days = Step("days", CASES[ENFORCE].steps[1].world, send=False)
    watched = replace(days, attacks=CASES[ENFORCE].steps[1].attacks, expect=Expectation(("bounced",), obligation))
    prime_step, attack_step, recover = case(Mode.ENFORCE, ("deferred",)).steps
    played = replace(CASES[ENFORCE], steps=(prime_step, attack_step, watched, recover))
    first = prime(ENFORCE) if fetched else without(prime(ENFORCE), lambda fact: isinstance(fact, PolicyRequested))
    attempts = [resisted_attempt(ENFORCE, f"attacked-{number}") for number in range(3)]
    attack = [
        StepBegan(),
        BEGUN,
        MESSAGE,
        *in_time,
        *attempts[0],
        held(ENFORCE),
        *attempts[1],
        held(ENFORCE),
        StepEnded(),
    ]
    after = [StepBegan(), *attempts[2], *later, NOTICE, gone(ENFORCE), StepEnded()]
    story = first + [(ENFORCE, "attack", fact) for fact in attack] + [(ENFORCE, "days", fact) for fact in after]
    story += [(ENFORCE, "recover", fact) for fact in (StepBegan(), StepEnded(), CaseEnded())]
    return verdict(record(story, taken_in(), cases=(played, CASES[ABSENT])))


def _of_the_return(found: Verdict) -> list[tuple[Grade, str, str]]:
    return [
        (one.grade, one.obligation, one.reason)
        for one in found.judgements
        if one.step == "days" and one.check == "message-outcome"
    ]


def test_mail_is_not_given_up_after_days_without_any_look() -> None:
    assert _of_the_return(_given_up()) == [(Grade.FAIL, "STS-5-07", "bounced-before-policy-check")]


@pytest.mark.parametrize(
    ("in_time", "later"), [([LOOK], ()), ([], (LOOK,))], ids=["in the first attempt, days before", "before the return"]
)
def test_one_look_since_the_hand_over_is_enough(in_time: list[AnyFact], later: tuple[AnyFact, ...]) -> None:
    assert _of_the_return(_given_up(*in_time, later=later)) == [(Grade.PASS, "STS-5.1-05", "bounced")]


def test_no_look_is_owed_where_no_policy_holds_the_mail_back() -> None:
    assert _of_the_return(_given_up(obligation="SMTP-4.5.4.1-04")) == [(Grade.PASS, "SMTP-4.5.4.1-04", "bounced")]
    assert _of_the_return(_given_up(fetched=False)) == [(Grade.PASS, "STS-5.1-05", "bounced")]


def test_mail_that_may_be_delivered_is_not_held_back_by_a_policy_that_was_never_fetched() -> None:
    """Its return breaks what the case is about, whether DNS was asked before or not."""
    either = case(Mode.ENFORCE, ("delivered", "deferred"), should=("delivered",))
    story = [
        line
        for line in _story_of_return(BEGUN, LOOK, MESSAGE, *ATTEMPT, NOTICE)
        if not isinstance(line[2], PolicyRequested)
    ]
    found = verdict(record(story, taken_in(), cases=(either, CASES[ABSENT])))
    assert {(one.reason, one.obligation) for one in found.judgements if one.grade is Grade.FAIL} == {
        ("bounced", "STS-5-03")
    }


def test_mail_that_is_returned_without_a_visit_to_any_host_needs_no_session_to_prove_it() -> None:
    """Whoever waits may have been kept from a host by a slow lab; whoever returns the mail has not waited."""
    step = Step("attack", World(), expect=Expectation(("delivered",), "SMTP-5.1-03"))
    healthy = replace(CASES[ABSENT], steps=(CASES[ABSENT].steps[0], step), degrades=False)
    asked = DnsAnswered(name=DOMAIN[ABSENT], type="MX", transport="udp", rcode="NOERROR")
    notice = msgspec.structs.replace(NOTICE, token=token(ABSENT, "attack"))

    def judged(*facts: AnyFact) -> Verdict:
        played = [StepBegan(), injected(ABSENT, "attack"), *facts, notice, StepEnded(), CaseEnded()]
        story = prime(ABSENT) + [(ABSENT, "attack", fact) for fact in played]
        return verdict(record(story, cases=(healthy,)), ABSENT)

    assert reasons(judged(asked)) == {"returned-without-a-policy"}
    assert "no-reason-on-record" in reasons(judged())
