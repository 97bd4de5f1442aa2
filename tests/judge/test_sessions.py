"""Who stands at the ends of a connection, and what protects it, as far as the record shows."""

import pytest
from mta_sts_lab import events as facts
from mta_sts_lab.judge.sessions import Session, Sessions

from tests.reports.records import events_of


def _after(*said: facts.AnyFact) -> Sessions:
    sessions = Sessions()
    for event in events_of(*said):
        sessions.follow(event)
    return sessions


def _taken(session: str, role: str = "mx", via: str = "") -> facts.ConnectionAccepted:
    return facts.ConnectionAccepted(
        session=session, role=role, host="mx1.d.example", address="198.18.0.9", port=25, via=via
    )


def test_an_honest_session_has_nobody_in_between() -> None:
    session = _after(_taken("s")).of("s")
    assert (session.client, session.server, session.behind) == ("sender", "mx", False)


@pytest.mark.parametrize(
    "sign",
    [
        _taken("behind", via="s"),
        facts.AttackFired(attack="a", channel="smtp", detail="", session="s"),
        facts.SmtpSaid(session="s", speaker="attacker", line="502 no", secured=False),
        facts.SmtpSaid(session="s", speaker="mx", line="", secured=False, altered=True, instead_of="250-STARTTLS"),
    ],
)
def test_the_attacker_is_known_by_his_signs(sign: facts.AnyFact) -> None:
    assert _after(_taken("s"), sign).of("s").server == "attacker"


def test_the_leg_behind_belongs_to_the_attacker() -> None:
    session = _after(_taken("s"), _taken("b", via="s")).of("b")
    assert (session.client, session.server, session.behind) == ("attacker", "mx", True)


@pytest.mark.parametrize(
    ("role", "server"),
    [
        ("attacker-mx", "attacker"),
        ("policy-host", "policy"),
        ("report-host", "report"),
        ("sender-mx", "own mx"),
        ("new", "host"),
    ],
)
def test_every_role_has_a_word(role: str, server: str) -> None:
    assert _after(_taken("s", role)).of("s").server == server


def test_tls_that_fails_after_its_handshake_protects_nothing() -> None:
    up = facts.TlsEstablished(session="s", version="TLSv1.3", certificate="expired")
    assert _after(up).of("s").secured
    assert not _after(up, facts.TlsFailed(session="s", alert="certificate expired")).of("s").secured


def test_data_begins_with_the_receivers_word_and_ends_with_the_next_message() -> None:
    def said(speaker: str, line: str) -> facts.SmtpSaid:
        return facts.SmtpSaid(session="s", speaker=speaker, line=line, secured=False)

    assert not _after(said("sender", "DATA")).of("s").in_data
    assert _after(said("sender", "DATA"), said("mx", "354 go")).of("s").in_data
    assert _after(said("sender", "BDAT 20 LAST")).of("s").in_data
    assert not _after(said("mx", "354 go"), said("sender", "MAIL FROM:<>")).of("s").in_data


def test_an_unknown_session_is_an_empty_one() -> None:
    assert Sessions().of("never seen") == Session("never seen")
