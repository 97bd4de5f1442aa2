from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks import inject_response
from mta_sts_lab.attacks.toolkit.instructions import Side
from mta_sts_lab.events import ClientHelloSeen, SmtpSaid

from tests.attacks.dialogues import Dialogue, client_hello

FORGED = b"250-mx1.domain.example\r\n250-8BITMIME\r\n250 X-INJECTED\r\n550 5.7.1 X-INJECTED: not wanted here\r\n"


def test_the_forged_replies_share_a_segment_with_the_220() -> None:
    dialogue = Dialogue(inject_response.inject_response)
    dialogue.say(b"EHLO a\r\n")
    assert dialogue.fired == []
    dialogue.say(b"STARTTLS\r\n")
    assert dialogue.segments[-1] == b"220 2.0.0 Ready to start TLS\r\n" + FORGED
    assert dialogue.receiver.commands == ["EHLO a", "STARTTLS"]
    assert dialogue.fired == ["glued a forged EHLO reply and a forged 550 behind the 220"]
    assert ("250 X-INJECTED", "") in dialogue.altered
    assert b"STARTTLS" not in FORGED
    # A sender that pipelines would have said more than MAIL before the forged 550 could answer it.
    assert b"PIPELINING" not in FORGED


@given(st.lists(st.integers(1, 200), min_size=1, max_size=10))
def test_the_handshake_behind_it_passes_untouched(cuts: list[int]) -> None:
    dialogue = Dialogue(inject_response.inject_response, cuts=cuts)
    hello = client_hello("mx1.domain.example")
    dialogue.say(b"EHLO a\r\nSTARTTLS\r\n" + hello)
    assert hello in dialogue.stage.said[Side.RECEIVER]
    assert [fact.sni for fact in dialogue.facts(ClientHelloSeen)] == ["mx1.domain.example"]
    assert len(dialogue.fired) == 1
    assert not dialogue.stage.session.secured


def test_a_receiver_without_tls_is_left_alone() -> None:
    dialogue = Dialogue(inject_response.inject_response)
    dialogue.receiver._command = lambda line: b"454 not now\r\n"  # type: ignore[method-assign]
    assert dialogue.say(b"STARTTLS\r\n") == b"454 not now\r\n"
    assert dialogue.fired == []
    assert dialogue.say(b"NOOP\r\n") == b"454 not now\r\n"


def test_a_sender_who_goes_on_in_clear_is_heard_and_gets_nowhere() -> None:
    dialogue = Dialogue(inject_response.inject_response)
    dialogue.say(b"EHLO a\r\n")
    dialogue.say(b"STARTTLS\r\n")
    assert dialogue.say(b"MAIL FROM:<a@b.example>\r\n").startswith(b"503 ")
    assert dialogue.receiver.commands == ["EHLO a", "STARTTLS"]
    said = [(fact.line, fact.secured) for fact in dialogue.facts(SmtpSaid) if fact.speaker == "sender"]
    assert said[-1] == ("MAIL FROM:<a@b.example>", False)


def test_a_sender_who_leaves_behind_the_220_ends_the_session() -> None:
    dialogue = Dialogue(inject_response.inject_response)
    dialogue.say(b"STARTTLS\r\n")
    dialogue.stage.end(Side.SENDER)
    assert dialogue.stage.over
