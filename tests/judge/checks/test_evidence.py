"""What has to be on record before a case proves anything: a defect that nobody met was not resisted."""

from __future__ import annotations

import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    CaseEnded,
    ConnectionClosed,
    PolicyRequested,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge import views_of
from mta_sts_lab.judge.checks.evidence import attack_fired
from mta_sts_lab.model.case import AttackUse, Case, Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.target import About
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import MxHost, World
from mta_sts_lab.requirements import load_requirements

from tests.judge.stories import (
    ABSENT,
    ENFORCE,
    Line,
    accepted,
    connection,
    held,
    injected,
    mx_query,
    policy_facts,
    prime,
    reasons,
    record,
    recovered,
    verdict,
    without,
)
from tests.made_records import made_record

EXPIRED = MxHost(certificate="expired")


def _case(name: str, host: MxHost, outcome: str) -> Case:
    expect = Expectation(outcome=(outcome,), obligation="STS-4.2-01")
    steps = (
        Step("prime", World(), learns_policy=True),
        Step("attack", World(mx=(host,)), expect=expect),
        Step("recover", World(), send=False, recovers=True),
    )
    absent = name == ABSENT
    return Case(
        name, "starttls/strip", Mode.ABSENT if absent else Mode.ENFORCE, steps, control="" if absent else ABSENT
    )


def _without_a_policy(host: MxHost) -> list[Line]:
    """The control case without a policy: the defect keeps no message back."""
    secured = host.starttls
    facts: list[AnyFact] = [
        StepBegan(),
        injected(ABSENT, "attack"),
        mx_query(ABSENT),
        connection(ABSENT, "careless"),
        SmtpSaid(session="careless", speaker="sender", line="EHLO a", secured=False),
        *([TlsEstablished(session="careless", version="TLSv1.3", certificate=host.certificate)] if secured else []),
        accepted(ABSENT, "attack", "careless", secured=secured, certificate=host.certificate),
        StepEnded(),
    ]
    after: list[AnyFact] = [StepBegan(), StepEnded(), CaseEnded()]
    return prime(ABSENT) + [(ABSENT, "attack", fact) for fact in facts] + [(ABSENT, "recover", fact) for fact in after]


def _visit(session: str, *said: AnyFact) -> list[AnyFact]:
    return [mx_query(ENFORCE), connection(ENFORCE, session), *said, ConnectionClosed(session=session)]


def _said(session: str, line: str) -> SmtpSaid:
    return SmtpSaid(session=session, speaker="sender", line=line, secured=False)


def _judged(host: MxHost, first: list[AnyFact], second: list[AnyFact]) -> Verdict:
    facts = [StepBegan(), injected(ENFORCE, "attack"), *first, held(ENFORCE), *second, held(ENFORCE), StepEnded()]
    story = prime(ENFORCE) + [(ENFORCE, "attack", fact) for fact in facts] + recovered(ENFORCE)
    cases = (_case(ENFORCE, host, "deferred"), _case(ABSENT, host, "delivered"))
    return verdict(record(story, _without_a_policy(host), cases=cases))


def _handshake(session: str, certificate: str) -> list[AnyFact]:
    failed = TlsFailed(session=session, alert="certificate expired", certificate=certificate)
    return _visit(session, _said(session, "EHLO a"), _said(session, "STARTTLS"), failed)


def test_a_bad_certificate_that_was_shown_was_resisted() -> None:
    found = _judged(EXPIRED, _handshake("s1", "expired"), _handshake("s2", "expired"))
    assert found.grade is Grade.PASS


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([mx_query(ENFORCE)], [mx_query(ENFORCE)] * 3, id="never connected"),
        pytest.param(
            _visit("s1", _said("s1", "EHLO a"), _said("s1", "QUIT")),
            _visit("s2", _said("s2", "EHLO a"), _said("s2", "QUIT")),
            id="left before STARTTLS",
        ),
        pytest.param(_handshake("s1", "valid"), _handshake("s2", "valid"), id="another certificate"),
    ],
)
def test_a_bad_certificate_that_nobody_was_shown_proves_nothing(first: list[AnyFact], second: list[AnyFact]) -> None:
    found = _judged(EXPIRED, first, second)
    assert found.grade is Grade.INCONCLUSIVE
    assert "defect-not-met" in reasons(found)


def test_a_missing_starttls_must_have_been_seen() -> None:
    bare = MxHost(starttls=False)
    looked = [_visit(name, _said(name, "EHLO a"), _said(name, "QUIT")) for name in ("s1", "s2")]
    assert _judged(bare, *looked).grade is Grade.PASS
    silent = _judged(bare, _visit("s1"), _visit("s2"))
    assert silent.grade is Grade.INCONCLUSIVE
    assert "defect-not-met" in reasons(silent)


@pytest.mark.parametrize(
    ("capabilities", "grade", "reason"),
    [((), Grade.INFO, "attack-not-met"), (("mta-sts",), Grade.INCONCLUSIVE, "attack-not-fired")],
)
def test_an_attack_on_the_policy_is_not_met_by_a_target_that_never_looks(
    capabilities: tuple[str, ...], grade: Grade, reason: str
) -> None:
    """A target that claims MTA-STS has to look, and where it did not, the attacker may be broken."""
    attack = AttackUse("hide_policy_record", "dns", needs="policy")
    step = Step("attack", World(), (attack,))
    case = Case(ENFORCE, "discovery/first-lookup-fails", Mode.ENFORCE, (step,))
    made = made_record([], [case], About("made up", capabilities=capabilities))
    (view,) = views_of(made, load_requirements())
    (found,) = attack_fired(view, step)
    assert (found.grade, found.reason) == (grade, reason)


@pytest.mark.parametrize(
    ("wanted", "looks", "grade", "reason"),
    [
        ("delivered-authenticated", False, Grade.INFO, "attack-not-met"),
        ("delivered-authenticated", True, Grade.INCONCLUSIVE, "attack-not-fired"),
        ("deferred", False, Grade.INCONCLUSIVE, "attack-not-fired"),
    ],
)
def test_who_delivers_by_the_policy_that_it_has_need_not_meet_an_attack_on_a_newer_one(
    wanted: str, looks: bool, grade: Grade, reason: str
) -> None:
    """postfix-mta-sts-resolver as installed looks for nothing within a minute of its last look."""
    attack = AttackUse("block_policy_host", "https", needs="policy")
    expect = Expectation((wanted,), "STS-3.3-16")
    steps = (Step("prime", World()), Step("attack", World(), (attack,), expect=expect))
    case = Case(ENFORCE, "rpt-content/fetch-errors", Mode.ENFORCE, steps)
    later = policy_facts(ENFORCE)[:1] if looks else []
    facts = [("attack", fact) for fact in (StepBegan(), injected(ENFORCE, "attack"), *later, StepEnded())]
    made = record([*prime(ENFORCE), *((ENFORCE, step, fact) for step, fact in facts)], cases=[case])
    (view,) = views_of(made, load_requirements())
    (found,) = attack_fired(view, steps[1])
    assert (found.grade, found.reason) == (grade, reason)


def test_who_never_had_the_policy_delivers_by_none() -> None:
    attack = AttackUse("block_policy_host", "https", needs="policy")
    expect = Expectation(("delivered-authenticated",), "STS-3.3-16")
    steps = (Step("prime", World()), Step("attack", World(), (attack,), expect=expect))
    case = Case(ENFORCE, "rpt-content/fetch-errors", Mode.ENFORCE, steps)
    unfetched = without(prime(ENFORCE), lambda fact: isinstance(fact, PolicyRequested))
    facts = [("attack", fact) for fact in (StepBegan(), injected(ENFORCE, "attack"), StepEnded())]
    made = record([*unfetched, *((ENFORCE, step, fact) for step, fact in facts)], cases=[case])
    (view,) = views_of(made, load_requirements())
    (found,) = attack_fired(view, steps[1])
    assert (found.grade, found.reason) == (Grade.INCONCLUSIVE, "attack-not-fired")


@pytest.mark.parametrize("reached_afterwards", [False, True])
def test_a_policy_host_that_was_taken_away_is_reached_by_nobody(reached_afterwards: bool) -> None:
    attack = AttackUse("block_policy_host", "https")
    step = Step("attack", World(), (attack,), expect=Expectation(("deferred",), "STS-3.3-16"))
    case = Case(ENFORCE, "policy/fetch-blocked", Mode.ENFORCE, (step,))
    taken_away = AttackFired(attack="block_policy_host", channel="https", detail="")
    visit = policy_facts(ENFORCE)[1]
    between = [taken_away, visit] if reached_afterwards else [visit, taken_away]
    facts: list[AnyFact] = [StepBegan(), injected(ENFORCE, "attack"), *between, StepEnded()]
    (view,) = views_of(record([(ENFORCE, "attack", fact) for fact in facts], cases=[case]), load_requirements())
    assert [one.reason for one in attack_fired(view, step)] == ["attack-not-fired"] * reached_afterwards
