"""How a target asks: one thing said otherwise in a case that would pass is found, for its own obligation."""

from __future__ import annotations

import msgspec
import pytest
from mta_sts_lab.events import AnyFact, ClientHelloSeen, ConnectionClosed, PolicyRequested, SmtpSaid, TlsEstablished
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict

from tests.judge.stories import ENFORCE, Line, reasons, record, resisted, taken_in, verdict


def _found(*facts: AnyFact) -> Verdict:
    """Judge the honest session of a case that passes, with some words in it."""
    story = resisted()
    up = next(n for n, line in enumerate(story) if line[1] == "prime" and isinstance(line[2], TlsEstablished))
    before: list[Line] = [(ENFORCE, "prime", fact) for fact in facts if not _is_secured(fact)]
    inside: list[Line] = [(ENFORCE, "prime", fact) for fact in facts if _is_secured(fact)]
    return verdict(record([*story[:up], *before, story[up], *inside, *story[up + 1 :]], taken_in()))


def _is_secured(fact: AnyFact) -> bool:
    return isinstance(fact, SmtpSaid) and fact.secured


def _said(line: str, secured: bool, speaker: str = "sender", session: str = "honest-1") -> SmtpSaid:
    return SmtpSaid(session=session, speaker=speaker, line=line, secured=secured)


def _obligations(found: Verdict) -> set[str]:
    return {one.obligation for one in found.judgements if one.grade is not Grade.PASS}


@pytest.mark.parametrize("line", ["STARTTLS", "starttls", "STARTTLS "])
@pytest.mark.parametrize("opening", ["EHLO a", "ehlo a", "QUIT"])
def test_what_is_said_as_laid_down_passes(line: str, opening: str) -> None:
    assert _found(_said(line, False), _said(opening, True), _said("MAIL FROM:<a@b>", True)).grade is Grade.PASS


@pytest.mark.parametrize(
    ("facts", "obligation", "reason"),
    [
        ([_said("STARTTLS mx1", False)], "STLS-4-01", "starttls-with-argument"),
        ([_said("EHLO a", True), _said("STARTTLS", True)], "STLS-4.2-03", "starttls-inside-tls"),
        ([_said("HELO a", True)], "STLS-4.2-02", "no-ehlo-inside-tls"),
        ([_said("MAIL FROM:<a@b>", True)], "STLS-4.2-02", "no-ehlo-inside-tls"),
    ],
)
def test_what_is_said_otherwise_is_found(facts: list[AnyFact], obligation: str, reason: str) -> None:
    found = _found(*facts)
    assert reasons(found) == {reason}
    assert _obligations(found) == {obligation}


@pytest.mark.parametrize(("line", "wrong"), [("EHLO a", True), ("MAIL FROM:<a@b>", True), ("QUIT", False)])
@pytest.mark.parametrize(
    ("begun", "obligation", "reason"),
    [(True, "STLS-4-04", "went-on-without-tls"), (False, "STLS-4-03", "command-before-handshake")],
)
def test_a_connection_without_its_handshake_is_dropped(
    line: str, wrong: bool, begun: bool, obligation: str, reason: str
) -> None:
    go_ahead = _said("220 2.0.0 Ready", False, speaker="mx")
    hello = [ClientHelloSeen(session="honest-1")] if begun else []
    found = _found(_said("STARTTLS", False), go_ahead, *hello, _said(line, False))
    assert _obligations(found) >= ({obligation} if wrong else set())
    assert reasons(found) & {"went-on-without-tls", "command-before-handshake"} == ({reason} if wrong else set())
    refused = _said("454 4.7.0 Not now", False, speaker="mx")
    assert not reasons(_found(_said("STARTTLS", False), refused, _said(line, False))) & {reason}


def test_what_was_said_before_the_220_is_not_blamed_as_said_behind_it() -> None:
    go_ahead = _said("220 2.0.0 Ready", False, speaker="mx")
    found = _found(_said("STARTTLS", False), _said("NOOP", False), go_ahead, _said("NOOP", False))
    assert "STLS-4-03" not in _obligations(found)
    assert "STLS-4-05" in _obligations(found)


@pytest.mark.parametrize("name", ["[198.18.0.7]", "198.18.0.7", "[ipv6:2001:db8::7]", "2001:db8::7"])
def test_an_address_is_no_server_name(name: str) -> None:
    found = _found(ClientHelloSeen(session="honest-1", sni=name))
    assert _obligations(found) == {"SNI-3-03"}
    assert _found(ClientHelloSeen(session="honest-1", sni="mx1.example")).grade is Grade.PASS


@pytest.mark.parametrize("name", ["", "example", "mx2.example"])
def test_a_session_is_resumed_under_the_name_that_it_had(name: str) -> None:
    first = ClientHelloSeen(session="honest-1", sni="mx1.example")
    same, other = (ClientHelloSeen(session="honest-1", sni=one, resumes=True) for one in ("mx1.example", name))
    assert _obligations(_found(first, other)) == {"SNI-3-04"}
    assert _found(first, same).grade is Grade.PASS
    assert _found(other).grade is Grade.PASS, "no earlier session is on record"
    assert _found(first, ClientHelloSeen(session="honest-1", sni=name)).grade is Grade.PASS, "nothing is resumed"


def test_only_an_older_version_behind_a_newer_one_is_found() -> None:
    newer, older = (ClientHelloSeen(session="honest-1", version=version) for version in ("1.3", "1.1"))
    unread = ClientHelloSeen(session="honest-1")
    assert _obligations(_found(newer, unread, older)) == {"BCP-3.1.3-01"}
    assert _found(older, newer).grade is Grade.PASS
    assert _found(newer, ClientHelloSeen(session="honest-1", version="1.2")).grade is Grade.PASS


def test_only_the_targets_own_words_count() -> None:
    relayed = _said("STARTTLS again", False, session="behind-the-attacker")
    assert _found(relayed, _said("STARTTLS x", False, speaker="mx")).grade is Grade.PASS


@pytest.mark.parametrize(
    ("changes", "obligation"),
    [
        ({"method": "HEAD"}, "STS-3.2-01"),
        ({"path": "/mta-sts.txt"}, "STS-3.2-01"),
        ({"conditional": True}, "STS-3.3-10"),
        ({"path": "/elsewhere", "redirected": True}, "STS-3.3-09"),
    ],
)
def test_an_odd_policy_request_is_found(changes: dict[str, object], obligation: str) -> None:
    story = [
        (name, step, msgspec.structs.replace(fact, **changes) if isinstance(fact, PolicyRequested) else fact)
        for name, step, fact in resisted()
    ]
    assert obligation in _obligations(verdict(record(story, taken_in())))
    assert _found(ConnectionClosed(session="honest-1")).grade is Grade.PASS
