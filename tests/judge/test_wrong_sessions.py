"""A finding names what was wrong with a session: the host, the TLS version or the certificate."""

from __future__ import annotations

import pytest
from mta_sts_lab.events import (
    AnyFact,
    ConnectionAccepted,
    ConnectionClosed,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TlsEstablished,
    TokenRead,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.wrong_sessions import Wrong, wrong_session
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict

from tests.judge.stories import ENFORCE, Line, connection, record, resisted, taken_in, token, verdict

SESSION = "wrong-1"


def _established(certificate: str, version: str = "TLSv1.3", shown_by: str = "") -> TlsEstablished:
    return TlsEstablished(session=SESSION, version=version, certificate=certificate, shown_by=shown_by)


def _facts(*facts: AnyFact) -> CaseFacts:
    return CaseFacts(ENFORCE, record([(ENFORCE, "attack", fact) for fact in facts]).events)


@pytest.mark.parametrize(
    ("tls", "wrong", "words"),
    [
        (_established("valid"), Wrong.HOST, "at mx1.enforcing.example, which is not a host of the domain"),
        (
            _established("valid", "TLSv1", "downgrade_tls"),
            Wrong.VERSION,
            "inside TLSv1, which ended at the attacker, under a certificate that is valid for mx1.enforcing.example",
        ),
        (
            _established("expired"),
            Wrong.CERTIFICATE,
            "inside TLS, under the certificate variant 'expired' that mx1.enforcing.example showed",
        ),
        (
            _established("untrusted", shown_by="swap_certificate"),
            Wrong.CERTIFICATE,
            "inside TLS, under the certificate variant 'untrusted' that the attacker showed",
        ),
    ],
)
def test_what_is_wrong_with_a_session(tls: TlsEstablished, wrong: Wrong, words: str) -> None:
    found = wrong_session(_facts(connection(ENFORCE, SESSION), tls), SESSION)
    assert (found.wrong, found.words) == (wrong, words)


SAID: list[AnyFact] = [
    SmtpSaid(session=SESSION, speaker=speaker, line=line, secured=True)
    for speaker, line in (("sender", "MAIL FROM:<a@b>"), ("mx", "354 go on"))
]
READ = TokenRead(session=SESSION, token=token(ENFORCE, "attack"), secured=True, reader="attacker")


def _sent(tls: TlsEstablished, host: ConnectionAccepted | None = None) -> Verdict:
    """Judge a sender that says MAIL and sends the message in a session, which the attacker reads."""
    return _judged(host or connection(ENFORCE, SESSION), tls, *SAID, READ)


def _judged(*lines: AnyFact) -> Verdict:
    """Judge a sender that held the message, with some facts amid the attack."""
    story = resisted()
    spot = next(i for i, (case, step, _) in enumerate(story) if (case, step) == (ENFORCE, "attack")) + 3
    leak: list[Line] = [(ENFORCE, "attack", fact) for fact in lines]
    return verdict(record([*story[:spot], *leak, *story[spot:]], taken_in()))


def test_a_valid_certificate_is_never_called_a_bad_one() -> None:
    mx = ConnectionAccepted(
        session=SESSION, role="attacker-mx", host="mx.attacker.example", address="198.18.64.9", port=25
    )
    for tls, host, ending in (
        (_established("valid", "TLSv1", "downgrade_tls"), None, "-inside-an-old-tls-version"),
        (_established("valid"), mx, "-an-unlisted-host"),
    ):
        found = [one for one in _sent(tls, host).judgements if one.reason.startswith(("envelope", "message-s", "read"))]
        assert len(found) == 3
        assert all(one.reason.endswith(ending) for one in found)
        assert not [one for one in found if "does not authenticate" in one.expected or "variant" in one.observed]


def test_a_bad_certificate_is_named() -> None:
    found = _sent(_established("untrusted", shown_by="swap_certificate"))
    texts = [one.observed for one in found.judgements if one.reason.endswith("-under-a-bad-certificate")]
    assert len(texts) == 3
    assert all("the certificate variant 'untrusted' that the attacker showed" in text for text in texts)


@pytest.mark.parametrize("on_record", [[], [connection(ENFORCE, SESSION)], [_established("untrusted")]])
def test_a_session_that_is_not_on_record_is_no_finding(on_record: list[AnyFact]) -> None:
    found = _judged(*on_record, *SAID, ConnectionClosed(session=SESSION))
    assert found.grade is Grade.INCONCLUSIVE
    (doubt,) = [one for one in found.judgements if one.grade is Grade.INCONCLUSIVE]
    assert (doubt.reason, doubt.blame) == ("envelope-in-a-session-not-on-record", "lab")


def test_what_the_attacker_read_was_read_whatever_else_is_on_record() -> None:
    found = _judged(*SAID, READ)
    (read,) = [one for one in found.judgements if one.grade is Grade.FAIL]
    assert (read.obligation, read.reason) == ("STS-5-03", "read-in-a-session-not-on-record")


def test_what_is_said_in_a_session_belongs_to_the_step_in_whose_world_it_was_opened() -> None:
    """sendmail tried again when a step had ended, and met the certificate of that step: the next one had not begun."""

    def session(name: str) -> list[AnyFact]:
        mail = SmtpSaid(session=name, speaker="sender", line="MAIL From:<a@sender.example>", secured=True)
        return [connection(ENFORCE, name), mail]

    lines: list[Line] = [
        *((ENFORCE, "attack", fact) for fact in (StepBegan(), *session("first"), StepEnded())),
        *((ENFORCE, "recover", fact) for fact in (*session("between"), StepBegan(), *session("last"), StepEnded())),
    ]
    facts = CaseFacts(ENFORCE, record(lines).events)
    said = {step: [fact.session for _, fact in facts.said(step, True, ["MAIL"])] for step in ("attack", "recover")}
    assert said == {"attack": ["first", "between"], "recover": ["last"]}
