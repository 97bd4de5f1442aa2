"""A log line belongs to the case, and the message, whose domain, token or queue id stands in it, and to no other."""

from __future__ import annotations

import msgspec
import pytest
from mta_sts_lab.events import AnyFact, BounceReceived, CaseBegan, Event, MessageInjected, QueueSeen
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.target import About
from mta_sts_lab.model.world import World
from mta_sts_lab.record import Part, Record
from mta_sts_lab.reports.target_log import TargetLog, log_by_case

from tests.made_records import made_record

#: What mail servers say when they take a message, and what their logs call it.
REPLIES = [
    ("250 2.0.0 Ok: queued as 5620D1F41F8", "postfix/qmgr[30]: 5620D1F41F8: removed"),
    ("250 2.0.0 Ok: queued as 4FqXkT0Zz1", "postfix/smtp[31]: 4FqXkT0Zz1: to=<x>, status=deferred"),
    ("250 OK id=1tXyZa-00000001Ab-2CdE", "2026-11-23 1tXyZa-00000001Ab-2CdE Completed"),
    ("250 2.0.0 5ANKGdXc012345 Message accepted for delivery", "sendmail[9]: 5ANKGdXc012345: stat=Deferred"),
    ("250 2.0.0 9bd41a2c Message accepted for delivery", "smtpd: 0000000000000001 mta delivery evpid=9bd41a2c77"),
]


def _events(case: str, domain: str, token: str, reply: str) -> list[Event]:
    injected = MessageInjected(token=token, sender="s@x", recipient=f"{token}@{domain}", reply=reply, body_digest="d")
    return [
        Event(number=1, at=0.0, fact=CaseBegan(domain=domain, mode="enforce"), case=case),
        Event(number=2, at=0.1, fact=injected, case=case),
    ]


EVENTS = [
    *_events("a", "1111aaaa2222.example", "00112233aabbccdd", "250 ok"),
    *_events("b", "3333bbbb4444.example", "44556677aabbccdd", "250 ok"),
]


def test_by_domain_and_by_token() -> None:
    log = "\n".join(
        [
            "Verified TLS connection established to mx1.1111aaaa2222.example[198.18.0.1]:25",
            "policy of _mta-sts.3333bbbb4444.example fetched",
            "message-id=<00112233aabbccdd@sender.example>",
            "daemon started",
            "nothing of 1111aaaa22223.example or x44556677aabbccdd",
        ]
    )
    lines = log.splitlines()
    assert log_by_case(log, EVENTS) == {"a": (lines[0], lines[2]), "b": (lines[1],)}


def test_a_line_about_two_cases_stands_in_both_once() -> None:
    line = "1111aaaa2222 3333bbbb4444 1111aaaa2222"
    assert log_by_case(line, EVENTS) == {"a": (line,), "b": (line,)}


@pytest.mark.parametrize(("reply", "line"), REPLIES[:4])
def test_by_the_queue_id_that_the_reply_named(reply: str, line: str) -> None:
    events = _events("a", "1111aaaa2222.example", "00112233aabbccdd", reply)
    assert log_by_case(line, events) == {"a": (line,)}


def test_part_of_a_word_is_no_queue_id() -> None:
    reply, line = REPLIES[4]
    assert log_by_case(line, _events("a", "1111aaaa2222.example", "00112233aabbccdd", reply)) == {}


def test_a_queue_id_that_was_used_twice_tells_nothing() -> None:
    reply = "250 2.0.0 Ok: queued as 5620D1F41F8"
    events = [*_events("a", "1111aaaa2222.example", "t1", reply), *_events("b", "3333bbbb4444.example", "t2", reply)]
    assert log_by_case("5620D1F41F8: removed", events) == {}


def test_words_of_a_polite_reply_are_no_queue_ids() -> None:
    events = _events("a", "1111aaaa2222.example", "00112233aabbccdd", "250 Message accepted for delivery, thank you")
    assert log_by_case("accepted delivery Message", events) == {}


def test_an_empty_log() -> None:
    assert log_by_case("", EVENTS) == {}


def _of(step: str, fact: AnyFact) -> Event:
    return Event(number=9, at=9.0, fact=fact, case="a", step=step)


def _message(step: str, token: str, reply: str) -> Event:
    recipient = f"{token}@1111aaaa2222.example"
    return _of(step, MessageInjected(token=token, sender="s@x", recipient=recipient, reply=reply, body_digest="d"))


TWO_MESSAGES = [
    _of("prime", CaseBegan(domain="1111aaaa2222.example", mode="enforce")),
    _message("prime", "00112233aabbccdd", "250 queued as 5620D1F41F8"),
    _message("attack", "44556677aabbccdd", "250 queued as 6730E2F52F9"),
]

LOG = """\
5620D1F41F8: to=<00112233aabbccdd@1111aaaa2222.example>, status=sent
6730E2F52F9: from=<s@x> (queue active)
6730E2F52F9: to=<44556677aabbccdd@1111aaaa2222.example>, status=deferred (not offered)
6730E2F52F9: from=<s@x> (queue active)
6730E2F52F9: to=<44556677aabbccdd@1111aaaa2222.example>, status=deferred (timed out)
6730E2F52F9: to=<44556677aabbccdd@1111aaaa2222.example>, status=sent
6730E2F52F9: removed
policy of 1111aaaa2222.example expired
"""


@pytest.mark.parametrize(
    "said",
    [
        QueueSeen(token="44556677aabbccdd", state="deferred", looked=1.0, reason="not offered"),
        BounceReceived(token="44556677aabbccdd", action="failed", status="5.7.0", diagnostic="not offered"),
    ],
)
def test_the_line_with_the_reason_that_the_target_gave_is_quoted(said: AnyFact) -> None:
    log = TargetLog(LOG, [*TWO_MESSAGES, _of("attack", said)])
    assert log.quoted("a", "attack") == (LOG.splitlines()[2],)


def test_without_such_a_line_the_last_ones_about_the_recipient_are_quoted() -> None:
    log = TargetLog(LOG, TWO_MESSAGES)
    assert log.quoted("a", "attack") == tuple(LOG.splitlines()[4:6])
    assert log.quoted("a", "prime") == (LOG.splitlines()[0],)


def test_without_a_message_the_last_lines_about_the_case_are_quoted() -> None:
    log = TargetLog(LOG, TWO_MESSAGES)
    assert log.quoted("a") == tuple(LOG.splitlines()[-2:])
    assert log.quoted("b", "attack") == ()
    assert TargetLog().quoted("a", "attack") == ()


def _played(run: str, began: int, token: str, reply: str) -> Record:
    events = _events("a", "1111aaaa2222.example", token, reply)
    numbered = [msgspec.structs.replace(event, number=began + at) for at, event in enumerate(events)]
    return made_record(numbered, [Case("a", "a", Mode.ENFORCE, (Step("attack", World()),))], About("x"), run=run)


def test_of_a_case_that_was_played_again_the_last_play_is_quoted() -> None:
    first, again = _played("r", 1, "00112233aabbccdd", "250 ok"), _played("r-again-1", 3, "44556677aabbccdd", "250 ok")
    parts = tuple(Part(one.header, len(one.events)) for one in (first, again))
    joined = made_record([*first.events, *again.events], first.header.cases, About("x"), run="r", parts=parts)
    log = "1111aaaa2222: early\n--- r-again-1\n1111aaaa2222: late\n--- somebody else\n"
    assert TargetLog.of(log, joined).by_case == {"a": ("1111aaaa2222: late",)}
    assert TargetLog.of(log, first).by_case == {"a": ("1111aaaa2222: early", "1111aaaa2222: late")}
