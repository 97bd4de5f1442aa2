"""The attack that lets no session begin: refuse_greeting."""

from __future__ import annotations

from mta_sts_lab.attacks import refuse_greeting
from mta_sts_lab.attacks.toolkit.instructions import Side

from tests.attacks.dialogues import Dialogue


def test_421_takes_the_place_of_the_greeting_and_ends_the_connection() -> None:
    dialogue = Dialogue(refuse_greeting.refuse_greeting, how="421")
    assert dialogue.altered == [("421 4.3.2 Too busy, try again later", "")]
    assert dialogue.fired == ["said 421 in the place of the greeting"]
    assert dialogue.stage.over


def test_silence_lasts_until_the_sender_leaves() -> None:
    dialogue = Dialogue(refuse_greeting.refuse_greeting, how="silent")
    assert dialogue.fired == ["took the connection and never greeted"]
    assert dialogue.say(b"EHLO a\r\n") == b""
    assert dialogue.receiver.commands == []
    assert not dialogue.stage.over
    dialogue.stage.end(Side.SENDER)
    assert dialogue.stage.over
