"""Conclusions are drawn only from arms that allow them."""

from dataclasses import replace

from mta_sts_lab.model import Mode, Outcome
from mta_sts_lab.reports.arms import Arm
from mta_sts_lab.reports.lesson import lesson

_HELD = Arm(
    "s[enforce]",
    Mode.ENFORCE,
    Outcome.DEFERRED,
    policy_learned=True,
    attacks=("strip",),
    fired=("strip",),
    later=Outcome.DELIVERED_AUTHENTICATED,
    ended=True,
)
_READ = replace(_HELD, case="s[absent]", mode=Mode.ABSENT, outcome=Outcome.DELIVERED_CLEAR, read="message", later=None)


def _told(*arms: Arm) -> str:
    return "\n".join(lesson(arms))


def test_what_stopped_it_and_what_it_would_take() -> None:
    said = _told(_READ, replace(_READ, mode=Mode.TESTING), _HELD)
    assert "Without an enforced policy" in said
    assert "Mode testing stops nothing" in said
    assert "What stopped the attack: the policy in mode enforce" in said
    assert "What it would take" in said
    assert "Nothing stopped" not in said


def test_a_leak_is_not_explained_away() -> None:
    leaked = replace(_HELD, outcome=Outcome.DELIVERED_CLEAR, read="message", reader="attacker", later=None)
    said = _told(leaked)
    assert said.startswith("Nothing stopped the attack in s[enforce]: delivered in clear and read by the attacker")
    assert "although the sender had fetched the policy" in said
    assert "and the sender had not fetched the policy" in _told(replace(leaked, policy_learned=False))


def test_a_message_that_was_held_and_read_is_a_leak() -> None:
    assert "Nothing stopped the attack" in _told(replace(_HELD, read="message", reader="attacker"))


def test_an_attack_that_did_not_fire_proves_nothing() -> None:
    said = _told(replace(_READ, fired=()), replace(_HELD, fired=()))
    assert said == "s[enforce] allows no conclusion: the attack did not take effect."


def test_an_unfinished_or_spoilt_arm_proves_nothing() -> None:
    assert "not played to its end" in _told(replace(_HELD, ended=False))
    assert "failed in it" in _told(replace(_HELD, spoilt=True))
    assert "allows no conclusion" in _told(replace(_HELD, outcome=Outcome.UNSETTLED))


def test_mail_held_without_a_policy_is_not_the_policys_merit() -> None:
    assert "not by the policy" in _told(replace(_HELD, policy_learned=False))


def test_without_an_enforce_arm_nothing_is_said_to_stop_the_attack() -> None:
    assert "No arm with a policy in mode enforce" in _told(_READ)
