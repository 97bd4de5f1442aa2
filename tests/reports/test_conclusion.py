"""The words that close a demonstration: true, complete, and none where nothing was proved.

`tests/test_kill_matrix.py` holds them against every case of the catalogue, and against every flaw.
"""

from dataclasses import replace

import pytest
from mta_sts_lab.events import AttackFired, DnsAnswered, PolicyRequested
from mta_sts_lab.judge import views_of
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.record import Record
from mta_sts_lab.reports.conclusion import _told
from mta_sts_lab.reports.told_steps import told_steps
from mta_sts_lab.requirements import load_requirements

from .closing_words import conclusions, untrue_words
from .records import SCENARIO, case_id, record_of, strip_record, strip_verdicts


def _text(record: Record, mode: Mode, leaks: bool = False) -> str:
    return conclusions(record, strip_verdicts(strip_record(leaks), leaks))[case_id(mode)].text


@pytest.mark.parametrize("leaks", [False, True])
def test_they_are_true(leaks: bool) -> None:
    record = strip_record(leaks)
    assert untrue_words(record, strip_verdicts(record, leaks)) == []


def test_a_policy_that_held_is_praised() -> None:
    text = _text(strip_record(), Mode.ENFORCE)
    assert "the attack failed; the message waited, because the policy in mode enforce forbids" in text
    assert "(STARTTLS was not offered, and the sender gave up the session)" in text
    assert text.endswith("It arrived later, unchanged, inside TLS at the genuine host.")


def test_what_is_the_same_of_several_steps_is_said_once() -> None:
    views = views_of(strip_record(), load_requirements())
    view = next(one for one in views if one.case.id == case_id(Mode.ENFORCE))
    (held,) = told_steps(view)
    arrived = replace(held, outcome=Outcome.DELIVERED_AUTHENTICATED, attacks=(), fired=())
    steps = [replace(arrived, name=name) for name in ("publish", "wait", "promote")]
    told = _told(view, [*steps, held, replace(arrived, name="last")], at_fault=False)
    assert told[0] == (
        "in the steps publish, wait and promote: the message arrived inside TLS at the genuine host. "
        "There was no attack on it."
    )
    assert [one.partition(":")[0] for one in told[1:]] == [f"in the step {held.name}", "in the step last"]


def test_a_sender_at_fault_is_named_and_the_mail_is_not_called_safe() -> None:
    text = _text(strip_record(True), Mode.ENFORCE, leaks=True)
    assert text.startswith("The mail server is at fault: it broke an obligation of RFC 8461, section 5")
    assert "although the policy in mode enforce, which the mail server had, forbids that" in text
    assert "failed" not in text


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (Mode.ABSENT, "the domain publishes no policy"),
        (Mode.NONE, "a policy of mode none asks for nothing"),
        (Mode.TESTING, "mode testing stops nothing"),
    ],
)
def test_mail_that_could_be_read_by_right_says_why(mode: Mode, why: str) -> None:
    text = _text(strip_record(), mode)
    assert text.startswith("The mail server behaved as the RFCs demand")
    assert f"he mail was still readable for the attacker, because {why}" in text


def test_a_policy_that_was_never_fetched_stopped_nothing() -> None:
    record = strip_record()
    lines = [event for event in record.events if not isinstance(event.fact, PolicyRequested)]
    text = _text(record_of(lines, SCENARIO.cases), Mode.ENFORCE)
    assert "although the mail server had not been able to fetch the policy" in text
    lines = [event for event in lines if not isinstance(event.fact, DnsAnswered)]
    text = _text(record_of(lines, SCENARIO.cases), Mode.ENFORCE)
    assert "although the mail server never looked for the domain's policy" in text


def test_an_attack_that_never_met_the_mail_is_not_said_to_have_failed() -> None:
    lines = [event for event in strip_record().events if not isinstance(event.fact, AttackFired)]
    assert "the attack failed" not in _text(record_of(lines, SCENARIO.cases), Mode.ENFORCE)


@pytest.mark.parametrize("grade", [Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.UNSUPPORTED])
def test_what_proves_nothing_has_no_conclusion(grade: Grade) -> None:
    record = strip_record()
    verdicts = [replace(verdict, grade=grade) for verdict in strip_verdicts(record)]
    told = conclusions(record, verdicts)
    assert all(one.text.startswith("This case allows no conclusion: ") for one in told.values())
    assert not any(one.stopped or one.read for one in told.values())


def test_what_is_worth_knowing_comes_behind_what_happened_and_is_cut() -> None:
    record = strip_record()
    noted = [
        replace(
            verdict,
            grade=Grade.INFO,
            judgements=(replace(verdict.judgements[0], grade=Grade.INFO, observed="x" * 999),),
        )
        for verdict in strip_verdicts(record)
    ]
    text = conclusions(record, noted)[case_id(Mode.ENFORCE)].text
    assert text.startswith("The mail server broke no rule; the attack failed; the message waited")
    assert text.endswith("Worth knowing: " + "x" * 277 + "...")
    assert untrue_words(record, noted) == []
