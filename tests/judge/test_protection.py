"""Where mail may go is decided by the policy in force, in every step, whatever the scenario asks for."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    CaseEnded,
    ClockAdvanced,
    ConnectionAccepted,
    PolicyRequested,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TargetRestarted,
    TlsEstablished,
)
from mta_sts_lab.judge.protection import NO_PROTECTION, Protection, enforced
from mta_sts_lab.model.case import Case, Expectation, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import MxHost, Policy, PolicyHost, World
from mta_sts_lab.rfc.dane_demands import DaneDemand

from tests.judge.stories import (
    CASES,
    DOMAIN,
    ENFORCE,
    Line,
    accepted,
    changed,
    connection,
    injected,
    mx_query,
    policy_facts,
    prime,
    record,
    taken_in_attempt,
    verdict,
)

BOTH = (MxHost("mx1", 10), MxHost("mx2", 20))
UNLISTED = World(mx=BOTH, policy=Policy(mx=("mx2",)))


@pytest.mark.parametrize(
    ("host", "secured", "certificate", "obligation"),
    [
        ("mx2.d.example", True, "valid", ""),
        ("mx2.d.example", True, "wildcard", ""),
        ("mx1.d.example", True, "valid", "STS-4-01"),
        ("mx2.d.example", False, "", "STS-5-03"),
        ("mx2.d.example", True, "expired", "STS-5-02"),
        ("mx2.d.example", True, "", "STS-5-02"),
    ],
)
def test_enforced_policy_demands_a_listed_host_and_authenticated_tls(
    host: str, secured: bool, certificate: str, obligation: str
) -> None:
    breach = enforced(("mx2.d.example",)).breach(host, secured, certificate)
    assert (breach.obligation if breach else "") == obligation
    assert NO_PROTECTION.breach(host, secured, certificate) is None


@pytest.mark.parametrize(
    ("demand", "secured", "certificate", "obligation"),
    [
        (DaneDemand("mx2.d.example", ("self-signed",)), True, "self-signed", ""),
        (DaneDemand("mx2.d.example", ("self-signed",)), True, "valid", "DANE-3.2-02"),
        (DaneDemand("mx2.d.example", ("self-signed",)), True, "", "DANE-3.2-02"),
        (DaneDemand("mx2.d.example", ("self-signed",)), False, "", "DANE-2.2.3-05"),
        (DaneDemand("mx2.d.example", ()), True, "valid", "DANE-3.2-02"),
        (DaneDemand("mx2.d.example"), True, "self-signed", ""),
        (DaneDemand("mx2.d.example"), False, "", "DANE-2.2.3-05"),
        (DaneDemand("mx2.d.example", lookup_failed=True), True, "valid", "DANE-2.1.2-05"),
        (DaneDemand("mx1.d.example", ()), False, "", ""),
    ],
)
def test_dane_demands_what_its_records_say(
    demand: DaneDemand, secured: bool, certificate: str, obligation: str
) -> None:
    breach = Protection(dane=(demand,)).breach("mx2.d.example", secured, certificate)
    assert (breach.obligation if breach else "") == obligation


def test_of_a_policy_and_dane_usable_records_decide() -> None:
    both = replace(enforced(("mx2.d.example",)), dane=(DaneDemand("mx2.d.example", ("self-signed",)),))
    assert both.breach("mx2.d.example", True, "self-signed") is None
    assert both.authenticates("mx2.d.example", "self-signed")
    assert not both.authenticates("mx2.d.example", "valid")
    unusable = replace(both, dane=(DaneDemand("mx2.d.example"),))
    breach = unusable.breach("mx2.d.example", True, "self-signed")
    assert breach is not None
    assert breach.obligation == "STS-5-02"
    assert unusable.breach("mx2.d.example", True, "valid") is None


def _case(*worlds: World, outcome: tuple[str, ...] = ("delivered",)) -> Case:
    """Enforce, and a second step that only asks for delivery."""
    expect = Expectation(outcome=outcome, obligation="STS-5-03")
    names = ("prime", "attack")
    steps = [
        Step(name, world, expect=expect if name == "attack" else None)
        for name, world in zip(names, worlds, strict=True)
    ]
    return replace(CASES[ENFORCE], steps=(*steps,), control="")


def _delivery(*before: AnyFact, secured: bool = True, certificate: str = "valid") -> list[Line]:
    """The second message arrives at mx1, after some other events of its step."""
    facts: list[AnyFact] = [
        StepBegan(),
        *before,
        injected(ENFORCE, "attack"),
        mx_query(ENFORCE),
        connection(ENFORCE, "second"),
    ]
    if secured:
        facts.append(TlsEstablished(session="second", version="TLSv1.3", certificate=certificate))
    facts += [
        SmtpSaid(session="second", speaker="sender", line="MAIL FROM:<a@sender.example>", secured=secured),
        accepted(ENFORCE, "attack", "second", secured=secured, certificate=certificate),
        StepEnded(),
        CaseEnded(),
    ]
    return prime(ENFORCE) + [(ENFORCE, "attack", fact) for fact in facts]


def _protection(found: Verdict) -> list[tuple[Grade, str, str]]:
    check = "delivery-allowed-by-protection"
    return [(one.grade, one.obligation, one.step) for one in found.judgements if one.check == check]


def test_a_copy_at_an_unlisted_host_fails_where_only_delivery_is_asked_for() -> None:
    found = verdict(record(_delivery(), cases=[_case(UNLISTED, UNLISTED)]))
    assert _protection(found) == [(Grade.FAIL, "STS-4-01", "attack")]
    assert found.steps[1].outcome is Outcome.DELIVERED_UNAUTHENTICATED
    assert {one.reason for one in found.judgements} >= {"envelope-at-an-unlisted-host", "host-not-listed"}


def test_a_copy_in_clear_or_under_a_bad_certificate_fails_where_only_delivery_is_asked_for() -> None:
    case = _case(World(), World())
    clear = verdict(record(_delivery(secured=False), cases=[case]))
    assert _protection(clear) == [(Grade.FAIL, "STS-5-03", "attack")]
    expired = verdict(record(_delivery(certificate="expired"), cases=[case]))
    assert _protection(expired) == [(Grade.FAIL, "STS-5-02", "attack")]
    assert _protection(verdict(record(_delivery(), cases=[case]))) == []


def test_the_first_message_may_go_anywhere() -> None:
    """Its policy may be fetched in the background."""
    found = verdict(record(_delivery(), cases=[_case(UNLISTED, World(mx=BOTH))]))
    assert [step for _, _, step in _protection(found)] == ["attack"]


def _restarted() -> AnyFact:
    return TargetRestarted(signal="TERM")


@pytest.mark.parametrize(
    ("of_run", "breaches"),
    [([], 1), ([_restarted()], 0), ([ClockAdvanced(seconds=700000)], 0), ([ClockAdvanced(seconds=600)], 1)],
)
def test_what_has_expired_or_may_be_forgotten_demands_nothing(of_run: list[AnyFact], breaches: int) -> None:
    story = _delivery()
    place = next(n for n, line in enumerate(story) if line[1] == "attack")
    story[place:place] = [("", "", fact) for fact in of_run]
    found = verdict(record(story, cases=[_case(UNLISTED, UNLISTED)]))
    assert len(_protection(found)) == breaches


@pytest.mark.parametrize(
    ("asked", "breaches"), [(None, 1), (0.0, 0)], ids=["asked after the message", "asked before the message"]
)
def test_a_message_that_leaves_while_the_clock_is_moved_may_go_by_either_time(
    asked: float | None, breaches: int
) -> None:
    """The target was asked to move its clock, and had not said yet that this was done."""
    change = ClockAdvanced(seconds=700000, asked=asked)
    story: list[Line] = [*_delivery(), ("", "", change)]
    found = verdict(record(story, cases=[_case(UNLISTED, UNLISTED)]))
    assert len(_protection(found)) == breaches


def test_who_never_reached_out_for_the_policy_is_held_to_it() -> None:
    kinds = (PolicyRequested, ConnectionAccepted)
    unaware = [line for line in _delivery() if not (isinstance(line[2], kinds) and "https" in line[2].session)]
    found = verdict(record(unaware, cases=[_case(UNLISTED, UNLISTED)]))
    assert _protection(found) == [(Grade.FAIL, "STS-4-01", "attack")]
    set_out = [line for line in _delivery() if not isinstance(line[2], PolicyRequested)]
    assert _protection(verdict(record(set_out, cases=[_case(UNLISTED, UNLISTED)]))) == []


def test_a_newer_policy_that_was_fetched_since_may_be_followed() -> None:
    newer = World(mx=BOTH, policy=Policy(mx=("mx1",), revision=2))
    case = _case(UNLISTED, newer)
    assert _protection(verdict(record(_delivery(*policy_facts(ENFORCE)), cases=[case]))) == []
    assert len(_protection(verdict(record(_delivery(), cases=[case])))) == 1


@pytest.mark.parametrize(("at", "breaches"), [("DATA", 0), (".", 1)])
def test_a_newer_policy_counts_that_was_fetched_before_the_message_was_sent(at: str, breaches: int) -> None:
    """sendmail says MAIL, finds that the host is not listed, looks for a newer policy, and goes on if that lists it."""
    newer = World(mx=BOTH, policy=Policy(mx=("mx1",), revision=2))
    said: list[AnyFact] = []
    for line in ("DATA", "."):
        said += policy_facts(ENFORCE) if line == at else []
        said.append(SmtpSaid(session="second", speaker="sender", line=line, secured=True))
    lines = _delivery()
    lines[-3:-3] = [(ENFORCE, "attack", fact) for fact in said]
    assert len(_protection(verdict(record(lines, cases=[_case(UNLISTED, newer)])))) == breaches


@pytest.mark.parametrize(
    "host", [PolicyHost(status=404), PolicyHost(certificate="untrusted")], ids=["status", "certificate"]
)
def test_a_newer_policy_that_must_be_refused_frees_from_nothing(host: PolicyHost) -> None:
    newer = World(mx=BOTH, policy=Policy(mode="none", revision=2), policy_host=host)
    fetch = [
        msgspec.structs.replace(fact, status=host.status) if isinstance(fact, PolicyRequested) else fact
        for fact in policy_facts(ENFORCE)
    ]
    handshake = TlsEstablished(session=f"https-{DOMAIN[ENFORCE]}", version="TLSv1.3", certificate=host.certificate)
    # The first fetch was over a session of its own.
    second = [
        msgspec.structs.replace(fact, session="https-2") if hasattr(fact, "session") else fact
        for fact in [*fetch, handshake]
    ]
    second.sort(key=lambda fact: isinstance(fact, PolicyRequested))
    found = verdict(record(_delivery(*second), cases=[_case(UNLISTED, newer)]))
    assert _protection(found) == [(Grade.FAIL, "STS-4-01", "attack")]


def test_where_the_scenario_forbids_the_outcome_it_is_said_once() -> None:
    case = changed(CASES[ENFORCE], "recover", recovers=False)
    facts: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(ENFORCE, "attack"),
        *taken_in_attempt(ENFORCE, "first"),
        StepEnded(),
    ]
    found = verdict(record(prime(ENFORCE) + [(ENFORCE, "attack", fact) for fact in facts], cases=[case]))
    assert _protection(found) == []
    assert ("message-outcome", Grade.FAIL) in {(one.check, one.grade) for one in found.judgements}
