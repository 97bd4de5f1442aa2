"""Events become lines, each derived from what is on record."""

from typing import get_args

import pytest
from mta_sts_lab import events as facts
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.reports.timeline import Emphasis, Line, Topic, timeline

from .records import (
    EVERY_FACT,
    HOSTILE_VISIBLE,
    UNDER_DANE,
    events_of,
    events_under_dane,
    hostile_events,
    strip_events,
)


def _lines(*said: facts.AnyFact) -> tuple[Line, ...]:
    return timeline(events_of(*said))


def test_every_kind_of_event_is_told() -> None:
    assert {type(fact) for fact in EVERY_FACT} == set(get_args(facts.AnyFact))
    lines = _lines(*EVERY_FACT)
    assert [line.number for line in lines] == list(range(1, len(EVERY_FACT) + 1))
    assert all(line.actor and line.plain for line in lines)


def test_no_foreign_word_stays_as_it_came() -> None:
    for line in timeline(hostile_events(events_of(*EVERY_FACT))):
        assert (line.actor + line.plain).isprintable()
    smtp = [line for line in timeline(hostile_events(events_of(*EVERY_FACT))) if line.topic is Topic.SMTP]
    assert smtp[0].text == HOSTILE_VISIBLE


def test_a_removed_line_is_struck_out_and_named() -> None:
    removed = facts.SmtpSaid(session="s", speaker="mx", line="", secured=False, altered=True, instead_of="250-STARTTLS")
    (line,) = _lines(removed)
    assert (line.actor, line.text, line.struck) == ("attacker > sender", "", "250-STARTTLS")
    assert line.plain == "[removed by the attacker: 250-STARTTLS]"
    assert line.emphasis is Emphasis.ATTACK
    assert line.essential


def test_a_replaced_line_shows_both() -> None:
    (line,) = _lines(
        facts.SmtpSaid(session="s", speaker="mx", line="454 no", secured=False, altered=True, instead_of="220 go")
    )
    assert line.plain == "454 no [instead of: 220 go]"


def test_speakers_and_protection_are_in_the_actor() -> None:
    def said(speaker: str, secured: bool) -> str:
        return _lines(facts.SmtpSaid(session="s", speaker=speaker, line="x", secured=secured))[0].actor

    assert said("sender", secured=False) == "sender > mx"
    assert said("sender", secured=True) == "sender => mx"
    assert said("mx", secured=False) == "mx > sender"
    assert said("attacker", secured=True) == "attacker => sender"


def test_an_unchanged_queue_is_told_once() -> None:
    lines = [line for line in timeline(strip_events(Mode.ENFORCE)) if line.topic is Topic.QUEUE]
    assert [line.text.split(":")[0] for line in lines] == [
        "message 6f1c0a9b... is active",
        "message 6f1c0a9b... is deferred",
        "message 6f1c0a9b... is no longer held",
    ]


def test_what_can_be_read_depends_on_how_far_the_dialogue_had_come() -> None:
    read = facts.TokenRead(session="s", token="ab" * 8, secured=False, reader="attacker")
    asked = facts.SmtpSaid(session="s", speaker="mx", line="354 go", secured=False)
    assert _lines(read)[-1].text.endswith("its token at least")
    assert _lines(asked, read)[-1].text.endswith("addresses, Subject and body")
    assert _lines(read)[-1].emphasis is Emphasis.LEAK


def test_the_attackers_own_leg_is_marked_as_repeating() -> None:
    lines = timeline(strip_events(Mode.ABSENT))
    relayed = [line for line in lines if line.relayed]
    assert {line.actor for line in relayed} == {"attacker > mx", "mx > attacker"}
    assert not any(line.relayed for line in timeline(strip_events(Mode.ENFORCE)) if line.step == "prime")


def test_tls_that_the_attacker_passes_on_is_the_senders_own_dialogue() -> None:
    def taken(session: str, via: str = "") -> facts.ConnectionAccepted:
        return facts.ConnectionAccepted(session=session, role="mx", host="m", address="198.18.0.9", port=25, via=via)

    said = facts.SmtpSaid(session="b", speaker="sender", line="EHLO x", secured=True)
    (*_, through) = _lines(taken("f"), taken("b", "f"), said)
    assert (through.actor, through.relayed) == ("sender => mx", False)
    ended = facts.TlsEstablished(session="f", version="TLSv1.3", certificate="untrusted", shown_by="swap_certificate")
    (*_, repeated) = _lines(taken("f"), taken("b", "f"), ended, said)
    assert (repeated.actor, repeated.relayed) == ("attacker => mx", True)


@pytest.mark.parametrize(
    ("certificate", "shown_by", "emphasis"),
    [("valid", "", Emphasis.SECURE), ("expired", "", Emphasis.TROUBLE), ("valid", "swap", Emphasis.ATTACK)],
)
def test_tls_is_secure_only_with_the_hosts_own_valid_certificate(
    certificate: str, shown_by: str, emphasis: Emphasis
) -> None:
    (line,) = _lines(facts.TlsEstablished(session="s", version="TLSv1.3", certificate=certificate, shown_by=shown_by))
    assert line.emphasis is emphasis


def test_a_message_in_clear_is_never_shown_as_secure() -> None:
    accepted = {line.text: line.emphasis for line in timeline(strip_events(Mode.NONE)) if "takes message" in line.text}
    assert accepted == {
        "takes message aa11bb22..., sent inside TLS": Emphasis.SECURE,
        "takes message 6f1c0a9b..., sent in clear, passed on by the attacker": Emphasis.ATTACK,
    }


def test_mail_to_the_senders_own_domain_is_no_delivery() -> None:
    from_bounce = next(fact for fact in EVERY_FACT if isinstance(fact, facts.MessageAccepted))
    own = facts.ConnectionAccepted(session="s", role="sender-mx", host="m", address="198.18.0.9", port=25)
    (*_, line) = _lines(own, type(from_bounce)(**{**_fields(from_bounce), "role": "sender-mx"}))
    assert (line.actor, line.emphasis, line.essential) == ("own mx", Emphasis.QUIET, False)


def _fields(fact: facts.MessageAccepted) -> dict[str, object]:
    return {name: getattr(fact, name) for name in fact.__struct_fields__}


def test_forged_dns_names_the_forger() -> None:
    (line,) = _lines(
        facts.DnsAnswered(
            name="d.example", type="MX", transport="udp", rcode="NOERROR", answers=("10 evil.",), tampered_by="forge_mx"
        )
    )
    assert line.actor == "attacker > sender"
    assert line.text == "MX d.example: 10 evil. [forged by forge_mx]"


def test_a_certificate_that_a_tlsa_record_names_authenticates_its_host() -> None:
    def told(case: Case | None) -> dict[Topic, tuple[str, Emphasis]]:
        return {line.topic: (line.text, line.emphasis) for line in timeline(events_under_dane(), case)}

    up, under = "TLS is up: TLSv1.3, certificate self-signed", "takes message t, sent inside TLS"
    known, unknown = told(UNDER_DANE), told(None)
    assert known[Topic.TLS] == (up, Emphasis.SECURE)
    assert known[Topic.MAIL] == (f"{under}, under a certificate that a TLSA record names", Emphasis.SECURE)
    assert unknown[Topic.TLS] == (up, Emphasis.TROUBLE)
    assert unknown[Topic.MAIL] == (f"{under} to a host that is not authenticated", Emphasis.TROUBLE)
