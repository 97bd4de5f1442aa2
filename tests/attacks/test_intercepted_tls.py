"""The attacks that end the sender's TLS: swap_certificate and downgrade_tls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks import downgrade_tls, swap_certificate
from mta_sts_lab.attacks.toolkit.attack import SHOWN_CERTIFICATES, SmtpAttack
from mta_sts_lab.attacks.toolkit.instructions import SecureReceiver, SecureSender
from mta_sts_lab.events import SmtpSaid
from mta_sts_lab.model.world import CERTIFICATE_VARIANTS, WITH_REVOCATION_LIST

from tests.attacks.dialogues import MESSAGE, TOKEN, Dialogue, client_hello

BOTH = pytest.mark.parametrize(
    "attack", [swap_certificate.swap_certificate, downgrade_tls.downgrade_tls], ids=lambda attack: attack.form.name
)


def tls(dialogue: Dialogue) -> list[SecureSender | SecureReceiver]:
    return [done for done in dialogue.stage.done if isinstance(done, SecureSender | SecureReceiver)]


def test_swap_takes_every_variant_but_the_valid_ones() -> None:
    assert set(SHOWN_CERTIFICATES) == set(CERTIFICATE_VARIANTS) - {"valid", *WITH_REVOCATION_LIST}
    dialogue = Dialogue(swap_certificate.swap_certificate, certificate="expired")
    dialogue.say(b"EHLO a\r\nSTARTTLS\r\n")
    secured = tls(dialogue)[0]
    assert isinstance(secured, SecureSender)
    assert secured.shown.certificate == "expired"
    assert not secured.shown.only_version
    assert "expired" in secured.shown.detail


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_downgrade_shows_a_valid_certificate_under_an_old_version(version: str) -> None:
    dialogue = Dialogue(downgrade_tls.downgrade_tls, version=version)
    dialogue.say(b"EHLO a\r\nSTARTTLS\r\n")
    secured = tls(dialogue)[0]
    assert isinstance(secured, SecureSender)
    assert (secured.shown.certificate, secured.shown.only_version) == ("valid", version)
    assert secured.shown.fires_on_answer


@BOTH
def test_tls_with_the_receiver_begins_after_tls_with_the_sender(attack: SmtpAttack) -> None:
    dialogue = Dialogue(attack)
    hello = client_hello()
    dialogue.say(b"EHLO a\r\nSTARTTLS\r\n" + hello)
    first, second = tls(dialogue)
    assert isinstance(first, SecureSender)
    assert first.leftover == hello
    assert second == SecureReceiver(b"")


@BOTH
@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=10))
def test_everything_inside_is_read_and_passed_on(attack: SmtpAttack, cuts: list[int]) -> None:
    dialogue = Dialogue(attack, cuts=cuts)
    dialogue.say(b"EHLO a\r\n")
    dialogue.say(b"STARTTLS\r\n")
    dialogue.say(b"EHLO a\r\n")
    dialogue.deliver()
    assert dialogue.receiver.messages == [MESSAGE]
    assert dialogue.tokens == [(TOKEN, True)]
    assert dialogue.altered == []
    secured = [
        fact.line
        for fact in dialogue.stage.facts
        if isinstance(fact, SmtpSaid) and fact.secured and fact.speaker == "sender"
    ]
    assert secured == ["EHLO a", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", ".", "QUIT"]


@BOTH
def test_a_sender_without_starttls_is_only_read(attack: SmtpAttack) -> None:
    dialogue = Dialogue(attack)
    dialogue.say(b"EHLO a\r\n")
    dialogue.deliver()
    assert tls(dialogue) == []
    assert dialogue.fired == []
    assert dialogue.tokens == [(TOKEN, False)]
