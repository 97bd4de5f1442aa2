from __future__ import annotations

from mta_sts_lab.attacks import forge_extension
from mta_sts_lab.attacks.toolkit.instructions import Side

from tests.attacks.dialogues import Dialogue, client_hello


def test_the_extension_is_offered_in_clear_and_the_handshake_passes_untouched() -> None:
    dialogue = Dialogue(forge_extension.forge_extension)
    offered = dialogue.say(b"EHLO a\r\n")
    assert b"250-DSN\r\n" in offered
    assert b"STARTTLS" in offered
    assert dialogue.fired == ["added DSN to the reply to EHLO"]
    assert dialogue.altered == [("250-DSN", "")]
    hello = client_hello("mx1.domain.example")
    dialogue.say(b"STARTTLS\r\n" + hello)
    assert hello in dialogue.stage.said[Side.RECEIVER]
    assert not dialogue.stage.session.secured


def test_without_ehlo_nothing_is_forged() -> None:
    dialogue = Dialogue(forge_extension.forge_extension)
    assert b"DSN" not in dialogue.say(b"NOOP\r\n")
    assert dialogue.fired == []
