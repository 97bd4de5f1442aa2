"""The attacks that keep a session in clear text: strip, mask, refuse EHLO, refuse STARTTLS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks import mask_starttls, refuse_ehlo, refuse_starttls, strip_starttls
from mta_sts_lab.attacks.toolkit.attack import SmtpAttack
from mta_sts_lab.events import ClientHelloSeen, MessageRead

from tests.attacks.dialogues import MESSAGE, TOKEN, Dialogue, client_hello

ALL = [
    strip_starttls.strip_starttls,
    mask_starttls.mask_starttls,
    refuse_ehlo.refuse_ehlo,
    refuse_starttls.refuse_starttls,
]
cuts = st.lists(st.integers(1, 60), min_size=1, max_size=10)


def name(attack: SmtpAttack) -> str:
    return attack.form.name


def test_strip_removes_the_offer_and_nothing_else() -> None:
    dialogue = Dialogue(strip_starttls.strip_starttls)
    assert dialogue.say(b"EHLO a\r\n") == b"250-mx1.domain.example\r\n250-SIZE 1000\r\n250 HELP\r\n"
    assert dialogue.altered == [("", "250-STARTTLS")]
    assert dialogue.fired == ["removed STARTTLS from the reply to EHLO"]


@pytest.mark.parametrize("cuts", [[1 << 20], [1], [7, 3]])
def test_the_message_is_on_record_as_it_was_read(cuts: list[int]) -> None:
    dialogue = Dialogue(strip_starttls.strip_starttls, cuts=cuts)
    dialogue.say(b"EHLO client.example\r\n")
    dialogue.deliver()
    (read,) = [fact for fact in dialogue.stage.facts if isinstance(fact, MessageRead)]
    assert read.text == MESSAGE.decode().removesuffix(".\r\n")
    assert (read.reader, read.secured, read.octets) == ("attacker", False, len(read.text))


def test_strip_of_the_last_line_keeps_the_reply_whole() -> None:
    dialogue = Dialogue(strip_starttls.strip_starttls, offers=["SIZE 1000", "STARTTLS"])
    assert dialogue.say(b"EHLO a\r\n") == b"250-mx1.domain.example\r\n250 SIZE 1000\r\n"
    assert dialogue.altered == [("", "250 STARTTLS")]


def test_strip_does_not_fall_for_a_host_of_that_name() -> None:
    dialogue = Dialogue(strip_starttls.strip_starttls, offers=["X-STARTTLS", "HELP"])
    assert b"X-STARTTLS" in dialogue.say(b"EHLO a\r\n")
    assert dialogue.fired == []


def test_mask_keeps_the_length() -> None:
    dialogue = Dialogue(mask_starttls.mask_starttls)
    told = dialogue.say(b"ehlo a\r\n")
    assert told == b"250-mx1.domain.example\r\n250-SIZE 1000\r\n250-XXXXXXXX\r\n250 HELP\r\n"
    assert dialogue.altered == [("250-XXXXXXXX", "250-STARTTLS")]
    assert len(dialogue.fired) == 1


@pytest.mark.parametrize("attack", [strip_starttls.strip_starttls, mask_starttls.mask_starttls], ids=name)
def test_without_an_offer_there_is_nothing_to_fire(attack: SmtpAttack) -> None:
    dialogue = Dialogue(attack, offers=["HELP"])
    dialogue.say(b"EHLO a\r\nHELO a\r\n")
    assert dialogue.fired == []
    assert dialogue.altered == []


@pytest.mark.parametrize(
    "attack", [strip_starttls.strip_starttls, mask_starttls.mask_starttls, refuse_ehlo.refuse_ehlo], ids=name
)
def test_starttls_sent_all_the_same_gets_a_502_and_goes_nowhere(attack: SmtpAttack) -> None:
    dialogue = Dialogue(attack)
    dialogue.say(b"EHLO a\r\n")
    assert dialogue.say(b"STARTTLS\r\n") == b"502 5.5.1 Command not implemented\r\n"
    assert "STARTTLS" not in dialogue.receiver.commands


def test_refuse_ehlo_lets_helo_through() -> None:
    dialogue = Dialogue(refuse_ehlo.refuse_ehlo)
    assert dialogue.say(b"EHLO a\r\n").startswith(b"502 ")
    assert dialogue.say(b"HELO a\r\n") == b"250 2.0.0 OK\r\n"
    assert dialogue.receiver.commands == ["HELO a"]
    assert dialogue.fired == ["answered EHLO with 502, so that only HELO is left"]


@pytest.mark.parametrize("code", [454, 502, 200])
def test_refuse_starttls_offers_and_refuses(code: int) -> None:
    dialogue = Dialogue(refuse_starttls.refuse_starttls, code=code)
    assert b"STARTTLS" in dialogue.say(b"EHLO a\r\n")
    assert dialogue.fired == []
    assert dialogue.say(b"STARTTLS\r\n").startswith(f"{code} ".encode())
    assert dialogue.fired == [f"answered STARTTLS with {code}"]
    assert dialogue.receiver.commands == ["EHLO a"]


def test_a_sender_who_takes_200_for_220_is_seen_and_left_alone() -> None:
    dialogue = Dialogue(refuse_starttls.refuse_starttls, code=200)
    dialogue.say(b"EHLO a\r\n")
    dialogue.say(b"STARTTLS\r\n")
    assert dialogue.say(client_hello()) == b""
    assert dialogue.facts(ClientHelloSeen)
    assert dialogue.stage.over


@pytest.mark.parametrize("attack", ALL, ids=name)
@given(cuts=cuts)
def test_any_split_of_the_segments_tells_the_same_story(attack: SmtpAttack, cuts: list[int]) -> None:
    whole, split = Dialogue(attack), Dialogue(attack, cuts=cuts)
    for dialogue in (whole, split):
        dialogue.say(b"EHLO a\r\nSTARTTLS\r\nHELO a\r\n")
        dialogue.deliver()
    assert split.told == whole.told
    assert split.stage.facts == whole.stage.facts
    assert split.receiver.messages == [MESSAGE]
    assert split.receiver.commands[-1] == "QUIT"
    assert split.tokens == [(TOKEN, False)]
    assert len(split.fired) == 1
