"""The attacks that spoil a handshake: drop_after_starttls, garbage_after_220 and alert_after_220."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks import alert_after_220, drop_after_starttls, garbage_after_220
from mta_sts_lab.attacks.alert_after_220 import ALERT
from mta_sts_lab.attacks.garbage_after_220 import GARBAGE
from mta_sts_lab.attacks.toolkit.attack import SmtpAttack
from mta_sts_lab.attacks.toolkit.instructions import Side
from mta_sts_lab.events import ClientHelloSeen, SmtpSaid, TlsFailed

from tests.attacks.dialogues import ENVELOPE, HALF_A_HELLO, MESSAGE, TOKEN, Dialogue, client_hello

EACH = pytest.mark.parametrize(
    "attack",
    [drop_after_starttls.drop_after_starttls, garbage_after_220.garbage_after_220, alert_after_220.alert_after_220],
    ids=lambda attack: attack.form.name,
)
cuts = st.lists(st.integers(1, 60), min_size=1, max_size=10)


@EACH
def test_nothing_happens_before_the_whole_hello(attack: SmtpAttack) -> None:
    dialogue = Dialogue(attack)
    dialogue.say(b"EHLO a\r\n")
    assert dialogue.say(b"STARTTLS\r\n") == b"220 2.0.0 Ready to start TLS\r\n"
    assert dialogue.say(HALF_A_HELLO) == b""
    assert dialogue.fired == []
    assert not dialogue.stage.over
    assert dialogue.receiver.commands == ["EHLO a"]


@EACH
def test_a_sender_without_a_handshake_is_not_attacked(attack: SmtpAttack) -> None:
    dialogue = Dialogue(attack)
    dialogue.say(b"EHLO a\r\nSTARTTLS\r\n")
    dialogue.say(b"QUIT\r\n")
    assert dialogue.fired == []
    assert dialogue.stage.over


@EACH
@given(cuts=cuts)
def test_it_fires_once_the_hello_is_there_however_it_is_cut(attack: SmtpAttack, cuts: list[int]) -> None:
    dialogue = Dialogue(attack, cuts=cuts)
    dialogue.say(b"EHLO a\r\nSTARTTLS\r\n" + client_hello("mx1.domain.example"))
    assert len(dialogue.fired) == 1
    assert [fact.sni for fact in dialogue.facts(ClientHelloSeen)] == ["mx1.domain.example"]
    assert dialogue.altered == [("220 2.0.0 Ready to start TLS", "")]
    assert dialogue.stage.over is (attack is drop_after_starttls.drop_after_starttls)


@pytest.mark.parametrize(
    ("attack", "said"), [(garbage_after_220.garbage_after_220, GARBAGE), (alert_after_220.alert_after_220, ALERT)]
)
def test_what_it_says_is_followed_by_listening_and_an_alert_is_kept(attack: SmtpAttack, said: bytes) -> None:
    dialogue = Dialogue(attack)
    dialogue.say(b"STARTTLS\r\n")
    assert dialogue.say(client_hello()) == said
    assert dialogue.say(b"\x15\x03\x01\x00\x02\x02\x46") == b""
    assert [fact.alert for fact in dialogue.facts(TlsFailed)] == ["protocol version"]
    assert not dialogue.stage.over
    dialogue.stage.end(Side.SENDER)
    assert dialogue.stage.over
    assert len(dialogue.facts(TlsFailed)) == 1


@pytest.mark.parametrize(
    ("attack", "hello"),
    [
        (drop_after_starttls.drop_after_starttls, b""),
        (garbage_after_220.garbage_after_220, b""),
        (garbage_after_220.garbage_after_220, client_hello()),
    ],
    ids=["dropped", "garbage", "garbage after a hello"],
)
@given(cuts=cuts)
def test_a_sender_who_goes_on_in_clear_is_read_and_gets_nowhere(
    attack: SmtpAttack, hello: bytes, cuts: list[int]
) -> None:
    dialogue = Dialogue(attack, cuts=cuts)
    dialogue.say(b"STARTTLS\r\n" + hello)
    dialogue.say(ENVELOPE + MESSAGE)
    heard = [fact for fact in dialogue.facts(SmtpSaid) if fact.speaker == "sender"]
    assert [fact.line for fact in heard] == ["STARTTLS", *(ENVELOPE + MESSAGE).decode().splitlines()]
    assert not any(fact.secured for fact in heard)
    assert dialogue.tokens == [(TOKEN, False)]
    assert dialogue.told.count(b"503 ") == len(heard) - 1
    assert dialogue.receiver.commands == []
    assert not dialogue.stage.over
    assert dialogue.say(b"QUIT\r\n") == b"221 2.0.0 Bye\r\n"
    assert dialogue.stage.over


def test_garbage_is_no_tls_and_no_smtp() -> None:
    assert len(GARBAGE) >= 32
    assert GARBAGE[0] not in range(20, 25)
    assert b"\n" not in GARBAGE
