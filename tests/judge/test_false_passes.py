"""Hand-made records that must not pass: in each something happened that the story of a sender that held does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    BounceReceived,
    CaseEnded,
    ConnectionAccepted,
    ConnectionClosed,
    DnsAnswered,
    MessageAccepted,
    PolicyRequested,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TlsEstablished,
    TokenRead,
)
from mta_sts_lab.model.case import Expectation
from mta_sts_lab.model.grading import Grade

from tests.judge.stories import (
    ABSENT,
    ATTACK,
    CASES,
    DOMAIN,
    ENFORCE,
    TESTING,
    Line,
    accepted,
    changed,
    connection,
    held,
    injected,
    mx_query,
    prime,
    quits,
    reasons,
    record,
    recovered,
    resisted,
    taken_in,
    token,
    verdict,
    without,
)

MESSAGE = token(ENFORCE, "attack")


def found(lines: list[Line]) -> tuple[Grade, set[str]]:
    judged = verdict(record(lines, taken_in()))
    return judged.grade, reasons(judged)


def later(*facts: AnyFact, of: str = ENFORCE, step: str = "recover") -> list[Line]:
    return [*resisted(), *((of, step, fact) for fact in facts)]


def within(step: str, *facts: AnyFact, before: type = StepEnded) -> list[Line]:
    lines = resisted()
    at = next(number for number, line in enumerate(lines) if line[1] == step and isinstance(line[2], before))
    return [*lines[:at], *((ENFORCE, step, fact) for fact in facts), *lines[at:]]


def with_changes(step: str, change: Callable[[AnyFact], AnyFact]) -> list[Line]:
    return [(of, at, change(fact) if at == step else fact) for of, at, fact in resisted()]


def _said(line: str, secured: bool = False) -> SmtpSaid:
    return SmtpSaid(session="x", speaker="sender", line=line, secured=secured)


def _to(**members: object) -> Callable[[AnyFact], AnyFact]:
    def change(fact: AnyFact) -> AnyFact:
        if not isinstance(fact, (MessageAccepted, ConnectionAccepted, TlsEstablished)):
            return fact
        known = {name: value for name, value in members.items() if hasattr(fact, name)}
        return msgspec.structs.replace(fact, **known)

    return change


def test_the_story_itself_passes() -> None:
    assert found(resisted()) == (Grade.PASS, set())


IN_CLEAR = without(
    with_changes("recover", _to(secured=False)), lambda fact: isinstance(fact, TlsEstablished), "recover"
)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        pytest.param(IN_CLEAR, "arrived-delivered-clear", id="arrives in clear"),
        pytest.param(
            with_changes("recover", _to(certificate="expired")), "arrived-delivered-unauthenticated", id="expired"
        ),
        pytest.param(
            with_changes("recover", _to(role="attacker-mx", host="mx.evil.example")),
            "arrived-delivered-unauthenticated",
            id="arrives at the attacker",
        ),
        pytest.param(
            with_changes("recover", _to(host="mx9.enforcing.example")),
            "arrived-delivered-unauthenticated",
            id="arrives at a host that is not listed",
        ),
        pytest.param(
            within("attack", connection(ENFORCE, "x"), _said("mail from:<a@sender.example>"), ConnectionClosed("x")),
            "envelope-in-clear",
            id="the envelope in clear, in small letters",
        ),
        pytest.param(
            within("recover", connection(ENFORCE, "x"), _said("BDAT 400 LAST"), before=ConnectionAccepted),
            "envelope-in-clear",
            id="a chunk in clear before it arrives",
        ),
        pytest.param(
            later(connection(ENFORCE, "x"), accepted(ENFORCE, "attack", "x", secured=False), quits("x", secured=False)),
            "arrived-twice",
            id="a second copy after the end",
        ),
        pytest.param(
            later(TokenRead("x", token(ENFORCE, "prime"), secured=False, reader="path")),
            "read-in-clear",
            id="an older message read in a later step",
        ),
        pytest.param(
            later(TokenRead("x", MESSAGE, secured=False, reader="attacker"), of=ABSENT, step="prime"),
            "read-in-clear",
            id="read at a host of another case, which is in another step",
        ),
        pytest.param(
            later(TokenRead("x", MESSAGE, secured=False, reader="path"), of="", step=""),
            "read-in-clear",
            id="read at a host of no case",
        ),
        pytest.param(
            later(BounceReceived(token=MESSAGE, action="failed", status="5.7.1")),
            "failure-notice-for-a-delivered-message",
            id="a failure notice after it arrived",
        ),
    ],
)
def test_what_must_not_have_happened_fails(lines: list[Line], reason: str) -> None:
    grade, why = found(lines)
    assert grade is Grade.FAIL
    assert reason in why


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        pytest.param(
            later(BounceReceived(token="", action="failed", status="5.7.1")),
            "failure-notice-without-a-message",
            id="a failure notice that names no message",
        ),
        pytest.param(
            with_changes("recover", _to(recipients=("someone@enforcing.example",))),
            "recipient-changed",
            id="arrives for somebody else",
        ),
        pytest.param(
            [
                (of, at, msgspec.structs.replace(fact, status=404) if isinstance(fact, PolicyRequested) else fact)
                for of, at, fact in resisted()
            ],
            "held-without-policy",
            id="held without ever having had the policy",
        ),
    ],
)
def test_what_leaves_a_doubt_is_no_pass(lines: list[Line], reason: str) -> None:
    grade, why = found(lines)
    assert grade is Grade.INCONCLUSIVE
    assert reason in why


@pytest.mark.parametrize("status", [200, 500])
def test_a_delivery_as_the_policy_wants_it_proves_nothing_of_one_that_was_never_got(status: int) -> None:
    def answered(fact: AnyFact) -> AnyFact:
        return msgspec.structs.replace(fact, status=status) if isinstance(fact, PolicyRequested) else fact

    case = changed(CASES[ENFORCE], "attack", attacks=(), expect=Expectation(("delivered-authenticated",), "STS-5-02"))
    delivered: list[AnyFact] = [
        StepBegan(),
        injected(ENFORCE, "attack"),
        mx_query(ENFORCE),
        connection(ENFORCE, "x"),
        TlsEstablished(session="x", version="TLSv1.3", certificate="valid"),
        accepted(ENFORCE, "attack", "x"),
        quits("x"),
        StepEnded(),
    ]
    after = [(ENFORCE, "recover", fact) for fact in (StepBegan(), StepEnded(), CaseEnded())]
    lines = [(of, step, answered(fact)) for of, step, fact in prime(ENFORCE)]
    judged = verdict(record([*lines, *((ENFORCE, "attack", fact) for fact in delivered), *after], cases=[case]))
    expected = (Grade.PASS, set()) if status == 200 else (Grade.INCONCLUSIVE, {"not-primed"})
    assert (judged.grade, reasons(judged)) == expected


@pytest.mark.parametrize(
    ("answers", "tampered_by", "grade"),
    [
        (("198.18.64.9",), "", Grade.PASS),
        ((), "", Grade.INCONCLUSIVE),
        ((), "forge_mx", Grade.PASS),
        (None, "", Grade.PASS),
    ],
    ids=["it knew where the host is", "it found no address", "the attacker hid the address", "it never asked"],
)
def test_who_finds_no_address_of_a_host_has_not_refused_it(
    answers: tuple[str, ...] | None, tampered_by: str, grade: Grade
) -> None:
    forge = replace(ATTACK, name="forge_mx", channel="dns")
    cases = [changed(CASES[name], "attack", attacks=(forge,)) for name in (ENFORCE, ABSENT)]
    forged = msgspec.structs.replace(mx_query(ENFORCE), answers=("10 mx.evil.example.",), tampered_by="forge_mx")
    look_up = DnsAnswered(
        name="mx.evil.example",
        type="A",
        transport="udp",
        rcode="NOERROR",
        answers=answers or (),
        tampered_by=tampered_by,
    )
    attempt = [forged, *([look_up] if answers is not None else [])]
    fired = AttackFired(attack="forge_mx", channel="dns", detail="")
    attack: list[AnyFact] = [StepBegan(), injected(ENFORCE, "attack"), fired, *attempt, held(ENFORCE)]
    attack += [*attempt, *attempt, held(ENFORCE), StepEnded()]
    story = prime(ENFORCE) + [(ENFORCE, "attack", fact) for fact in attack] + recovered(ENFORCE)
    met: list[AnyFact] = [msgspec.structs.replace(forged, name=DOMAIN[ABSENT]), fired]
    control = taken_in()
    at = next(number for number, line in enumerate(control) if line[1] == "attack")
    control[at + 1 : at + 1] = [(ABSENT, "attack", fact) for fact in met]
    judged = verdict(record(story, control, cases=cases))
    assert judged.grade is grade
    assert ("no-reason-on-record" in reasons(judged)) is (grade is not Grade.PASS)


@pytest.mark.parametrize(
    ("capabilities", "grade"), [(("mta-sts",), Grade.INCONCLUSIVE), ((), Grade.PASS)], ids=["claims", "claims nothing"]
)
def test_who_never_looks_for_policies_was_not_put_to_the_test_under_testing(
    capabilities: tuple[str, ...], grade: Grade
) -> None:
    def about_the_policy(fact: AnyFact) -> bool:
        asked = isinstance(fact, DnsAnswered) and fact.type == "TXT"
        reached = isinstance(fact, ConnectionAccepted) and fact.role == "policy-host"
        return asked or reached or isinstance(fact, PolicyRequested)

    lines = without(taken_in(TESTING), about_the_policy)
    judged = verdict(record(lines, taken_in(ABSENT), capabilities=capabilities), TESTING)
    assert judged.grade is grade
    assert ("policy-never-asked" in reasons(judged)) is (grade is Grade.INCONCLUSIVE)
