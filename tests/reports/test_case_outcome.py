"""What became of the message under attack, and the sentence that says it."""

import msgspec
import pytest
from mta_sts_lab import events as facts
from mta_sts_lab.events import Event
from mta_sts_lab.model.case import AttackUse, Case, Mode, Step
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.world import World
from mta_sts_lab.reports.case_outcome import CaseOutcome, attacked_steps, case_outcome

from .records import UNDER_DANE, case_id, events_of, events_under_dane, strip_events, strip_record, strip_verdicts

_RETRY = 0.5


def _of(mode: Mode, leaks: bool | None = None) -> CaseOutcome:
    return case_outcome(case_id(mode), mode, strip_events(mode, leaks), retry_seconds=_RETRY)


def test_the_enforce_case_is_held_and_recovers() -> None:
    held = _of(Mode.ENFORCE)
    assert held.outcome is Outcome.DEFERRED
    assert held.policy_learned
    assert held.attacks == held.fired == ("strip_starttls",)
    assert held.later is Outcome.DELIVERED_AUTHENTICATED
    assert held.untouched is True
    assert held.sentence == ("deferred, nothing leaked, arrived untouched and authenticated once the attack ended")


@pytest.mark.parametrize("optional", [True, False])
def test_an_attack_that_need_not_meet_anything_is_not_said_to_have_failed(optional: bool) -> None:
    events = [
        msgspec.structs.replace(event, fact=facts.StepBegan(attacks=("strip_starttls", "hide_policy_record")))
        if isinstance(event.fact, facts.StepBegan) and event.step == "attack"
        else event
        for event in strip_events(Mode.ENFORCE)
    ]
    uses = (AttackUse("strip_starttls", "smtp"), AttackUse("hide_policy_record", "dns", optional=optional))
    case = Case(case_id(Mode.ENFORCE), "starttls/strip", Mode.ENFORCE, (Step("attack", World(), attacks=uses),))
    shown = case_outcome(case.id, Mode.ENFORCE, events, retry_seconds=_RETRY, played=case)
    assert shown.fired == ("strip_starttls",)
    assert shown.attacks == (("strip_starttls",) if optional else ("strip_starttls", "hide_policy_record"))


@pytest.mark.parametrize("mode", [Mode.ABSENT, Mode.NONE, Mode.TESTING])
def test_the_other_cases_are_read(mode: Mode) -> None:
    read = _of(mode)
    assert read.sentence == "delivered in clear and read by the attacker"
    assert read.policy_learned is (mode is not Mode.ABSENT)


def test_a_leak_under_enforce_is_told_as_one() -> None:
    assert _of(Mode.ENFORCE, leaks=True).sentence == "delivered in clear and read by the attacker"


def test_nothing_is_said_to_be_safe_in_an_arm_that_did_not_end() -> None:
    cut = [event for event in strip_events(Mode.ENFORCE) if event.step in ("", "prime", "attack")][:-1]
    outcome = case_outcome(case_id(Mode.ENFORCE), Mode.ENFORCE, cut, retry_seconds=_RETRY)
    assert "nothing leaked" not in outcome.sentence
    assert outcome.sentence.endswith("this case was not played to its end")


def test_a_single_look_at_the_queue_proves_no_deferral() -> None:
    second = "s3-enforce"
    events = [e for e in strip_events(Mode.ENFORCE) if not getattr(e.fact, "session", "").startswith(second)]
    assert case_outcome("c", Mode.ENFORCE, events, retry_seconds=_RETRY).outcome is Outcome.UNSETTLED


def test_an_altered_body_is_told() -> None:
    events = strip_events(Mode.ENFORCE)
    changed = [
        Event(number=e.number, at=e.at, fact=_with_other_digest(e.fact), case=e.case, step=e.step)
        if isinstance(e.fact, facts.MessageAccepted) and e.step == "recover"
        else e
        for e in events
    ]
    assert "altered and authenticated" in case_outcome("c", Mode.ENFORCE, changed, retry_seconds=_RETRY).sentence


def _with_other_digest(fact: facts.MessageAccepted) -> facts.MessageAccepted:
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return facts.MessageAccepted(**{**fields, "body_digest": "00"})


def test_an_error_of_the_lab_spoils_an_of() -> None:
    events = strip_events(Mode.ENFORCE)
    last = events[-1]
    failed = Event(
        number=last.number + 1, at=last.at, fact=facts.LabFailed(where="dns", error="x"), case=last.case, step="attack"
    )
    broken = case_outcome("c", Mode.ENFORCE, [*events, failed], retry_seconds=_RETRY)
    assert broken.broken
    assert broken.sentence.endswith("so this case proves nothing")


def test_the_outcome_is_the_judges() -> None:
    record = strip_record(leaking_enforce=True)
    verdict = strip_verdicts(record, leaking_enforce=True)[0]
    outcome = case_outcome(case_id(Mode.ENFORCE), Mode.ENFORCE, strip_events(Mode.ENFORCE), verdict, _RETRY)
    assert outcome.outcome is Outcome.DELIVERED_CLEAR
    assert outcome.verdict == "fail"


def test_without_a_message_there_is_nothing_to_tell() -> None:
    assert case_outcome("c", Mode.ENFORCE, []).sentence == (
        "no message was sent under attack; this case was not played to its end"
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.DELIVERED_AUTHENTICATED, "delivered inside TLS to the authenticated host"),
        (Outcome.DELIVERED_UNAUTHENTICATED, "delivered inside TLS, but not to an authenticated host"),
        (Outcome.DELIVERED_CLEAR, "delivered in clear"),
        (Outcome.DEFERRED, "deferred, nothing leaked, not arrived when the case ended"),
        (Outcome.BOUNCED, "bounced, nothing leaked, not arrived when the case ended"),
        (Outcome.LOST, "lost, not arrived when the case ended"),
        (Outcome.UNSETTLED, "neither delivered nor provably deferred, not arrived when the case ended"),
    ],
)
def test_every_outcome_has_its_words(outcome: Outcome, words: str) -> None:
    assert CaseOutcome("c", "enforce", outcome, ended=True).sentence == words


@pytest.mark.parametrize(
    ("read", "reader", "words"),
    [
        ("message", "attacker", "deferred and read by the attacker"),
        ("message", "path", "deferred and read by anyone on the path"),
        ("token", "attacker", "deferred, its token read by the attacker"),
    ],
)
def test_every_reading_has_its_words(read: str, reader: str, words: str) -> None:
    held = CaseOutcome(
        "c", "enforce", Outcome.DEFERRED, read=read, reader=reader, later=Outcome.DELIVERED_CLEAR, ended=True
    )
    assert held.sentence == f"{words}, arrived in clear once the attack ended"


def test_a_token_alone_is_not_yet_a_message() -> None:
    sent = facts.MessageInjected(token="t1", sender="", recipient="", reply="", body_digest="0")
    read = facts.TokenRead(session="s", token="t1", secured=False, reader="attacker")
    outcome = case_outcome("c", Mode.ENFORCE, events_of(facts.StepBegan(attacks=("a",)), sent, read, facts.StepEnded()))
    assert (outcome.read, outcome.reader) == ("token", "attacker")


def test_a_bad_world_is_an_attack_too() -> None:
    assert attacked_steps(events_of(facts.StepBegan(), step="attack")) == ("attack",)
    assert attacked_steps(events_of(facts.StepBegan(), step="prime")) == ()
    assert attacked_steps(events_of(facts.StepBegan(attacks=("x",)), step="second")) == ("second",)


def test_with_dane_a_certificate_that_its_records_name_authenticates() -> None:
    events = events_under_dane()
    assert case_outcome(UNDER_DANE.id, "dane", events, played=UNDER_DANE).outcome is Outcome.DELIVERED_AUTHENTICATED
    assert case_outcome(UNDER_DANE.id, "dane", events).outcome is Outcome.DELIVERED_UNAUTHENTICATED
