"""A message that may go without TLS does so alone: one that the policy holds may not go along in its session."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    CaseEnded,
    ConnectionClosed,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TokenRead,
)
from mta_sts_lab.model.case import Case, Expectation, Message, Step
from mta_sts_lab.model.world import World

from tests.judge import stories
from tests.judge.stories import ABSENT, ENFORCE, Line

#: The lab finds tokens of its own form alone in what is said.
_DIGITS = {"prime": "c", "attack": "a", "marked": "b"}


def _token(case: str, step: str) -> str:
    return _DIGITS[step] * 15 + str([ENFORCE, ABSENT].index(case))


def _case(name: str) -> Case:
    marked = Step(
        "marked",
        World(),
        attacks=(stories.ATTACK,),
        message=Message(header=("TLS-Required: No",)),
        expect=Expectation(("delivered",), "RTLS-4.1-02"),
    )
    prime, attack, recover = stories.CASES[name].steps
    return replace(stories.CASES[name], steps=(prime, attack, marked, recover))


def _in_clear(case: str, *messages: str) -> list[Line]:
    """The step `marked`, with messages of some steps in one session in clear, which the attacker reads."""

    def said(line: str) -> AnyFact:
        return SmtpSaid(session=session, speaker="sender", line=line, secured=False)

    session = f"x-{case}"
    facts: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        stories.injected(case, "marked"),
        stories.mx_query(case),
        stories.connection(case, session),
        AttackFired(attack="strip_starttls", channel="smtp", session=session, detail="removed"),
        stories.stripped(session),
        stories.connection(case, f"{session}-behind", via=session),
    ]
    for message in messages:
        token = _token(case, message)
        facts += [
            said(f"MAIL FROM:<{token}@sender.example>"),
            said(f"RCPT TO:<{token}@{stories.DOMAIN[case]}>"),
            TokenRead(session=session, token=token, secured=False, reader="attacker"),
            stories.accepted(case, message, f"{session}-behind", secured=True, via=session),
        ]
    facts += [ConnectionClosed(session=session), *(stories.gone(case, message) for message in messages), StepEnded()]
    return [(case, "marked", fact) for fact in facts]


@pytest.mark.parametrize("along", [False, True])
def test_a_message_that_waits_may_not_go_along(monkeypatch: pytest.MonkeyPatch, along: bool) -> None:
    monkeypatch.setattr(stories, "token", _token)
    held, taken = stories.resisted(), stories.taken_in()
    held = [line for line in held if line[1] != "recover"]
    messages = ("marked", "attack") if along else ("marked",)
    ends: list[AnyFact] = [StepBegan(), StepEnded(), CaseEnded()]
    story = [*held, *_in_clear(ENFORCE, *messages), *((ENFORCE, "recover", fact) for fact in ends)]
    cut = next(number for number, line in enumerate(taken) if line[1] == "recover")
    control = [*taken[:cut], *_in_clear(ABSENT, "marked"), *taken[cut:]]
    cases = (_case(ENFORCE), _case(ABSENT))
    made = stories.record(story, control, cases=cases, capabilities=("mta-sts", "tls-required"))
    found = stories.verdict(made)
    leaks = {"read-in-clear", "envelope-in-clear", "in-clear"}
    assert (leaks <= stories.reasons(found)) is along
    assert (found.grade.value == "fail") is along, found.judgements
