from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.attacks.toolkit.cleartext_monitor import MOST_CLEAR_OCTETS
from mta_sts_lab.attacks.toolkit.instructions import (
    FinishSending,
    LeaveTls,
    Script,
    SecureReceiver,
    SecureSender,
    Shown,
    Side,
)
from mta_sts_lab.attacks.toolkit.session import Session
from mta_sts_lab.attacks.toolkit.smtp import LONGEST_LINE, Line, reply
from mta_sts_lab.events import AttackFired, ClientHelloSeen, SmtpSaid, TlsFailed, TokenRead

from tests.attacks.dialogues import ENVELOPE, MESSAGE, TOKEN, client_hello
from tests.attacks.rehearsal import Rehearsal


def rehearse(play: Callable[[Session], Script]) -> Rehearsal:
    return Rehearsal("an_attack", play)


def honest(session: Session) -> Script:
    yield from session.relay_greeting()
    yield from session.relay_to_the_end()


def said(stage: Rehearsal) -> list[tuple[str, str]]:
    return [(fact.speaker, fact.line) for fact in stage.facts if isinstance(fact, SmtpSaid)]


def read(stage: Rehearsal) -> list[tuple[str, bool]]:
    return [(fact.token, fact.secured) for fact in stage.facts if isinstance(fact, TokenRead)]


def test_every_line_is_witnessed_with_its_speaker() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220-hello\r\n220 there\r\n")
    stage.hear(Side.SENDER, b"EHLO a\r\n")
    stage.hear(Side.RECEIVER, b"250 mx\r\n")
    assert said(stage) == [("mx", "220-hello"), ("mx", "220 there"), ("sender", "EHLO a"), ("mx", "250 mx")]
    assert not any(fact.altered for fact in stage.facts if isinstance(fact, SmtpSaid))


def test_pipelined_commands_wait_for_their_turn() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, ENVELOPE)
    assert stage.said[Side.RECEIVER] == b"MAIL FROM:<a@b.example>\r\n"
    stage.hear(Side.RECEIVER, b"250 OK\r\n")
    stage.hear(Side.RECEIVER, b"250 OK\r\n")
    assert stage.said[Side.RECEIVER] == ENVELOPE
    stage.hear(Side.RECEIVER, b"354 go on\r\n")
    assert stage.said[Side.SENDER] == b"220 hello\r\n250 OK\r\n250 OK\r\n354 go on\r\n"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_a_message_passes_unchanged_however_it_is_cut(sizes: list[int]) -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"DATA\r\n")
    stage.hear(Side.RECEIVER, b"354 go on\r\n")
    octets = MESSAGE + b"QUIT\r\n"
    turn = 0
    while octets:
        size = sizes[turn % len(sizes)]
        stage.hear(Side.SENDER, octets[:size])
        octets, turn = octets[size:], turn + 1
    assert stage.said[Side.RECEIVER] == b"DATA\r\n" + MESSAGE
    stage.hear(Side.RECEIVER, b"250 taken\r\n")
    assert stage.said[Side.RECEIVER].endswith(MESSAGE + b"QUIT\r\n")
    assert [fact.token for fact in stage.facts if isinstance(fact, TokenRead)] == [TOKEN]
    # The body is not in the dialogue, its end is.
    assert said(stage)[1:] == [
        ("sender", "DATA"), ("mx", "354 go on"), ("sender", "."), ("mx", "250 taken"), ("sender", "QUIT"),
    ]  # fmt: skip


def test_a_body_is_not_taken_for_commands_when_data_is_refused() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"DATA\r\n")
    stage.hear(Side.RECEIVER, b"554 no\r\n")
    stage.hear(Side.SENDER, b"RSET\r\n")
    assert stage.said[Side.RECEIVER] == b"DATA\r\nRSET\r\n"


def test_a_receiver_who_replies_in_the_middle_of_a_message_is_heard_once() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"DATA\r\n")
    stage.hear(Side.RECEIVER, b"354 go on\r\n")
    stage.hear(Side.SENDER, b"a line\r\n")
    stage.hear(Side.RECEIVER, b"552 too much\r\n")
    stage.hear(Side.SENDER, b".\r\nQUIT\r\n")
    assert stage.said[Side.SENDER].endswith(b"552 too much\r\n")
    assert stage.said[Side.RECEIVER].endswith(b".\r\nQUIT\r\n")


def test_an_unasked_421_is_passed_on_and_ends_the_session() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.RECEIVER, b"421 too slow\r\n")
    assert stage.said[Side.SENDER] == b"220 hello\r\n421 too slow\r\n"
    stage.end(Side.RECEIVER)
    assert stage.over


def test_a_sender_who_says_quit_and_leaves_is_still_passed_on() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"QUIT\r\n")
    stage.end(Side.SENDER)
    assert stage.said[Side.RECEIVER] == b"QUIT\r\n"
    assert not stage.over
    stage.hear(Side.RECEIVER, b"221 bye\r\n")
    assert stage.over


def test_a_sender_who_leaves_within_a_message_ends_the_session() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"DATA\r\n")
    stage.hear(Side.RECEIVER, b"354 go on\r\n")
    stage.hear(Side.SENDER, b"half a mess")
    stage.end(Side.SENDER)
    assert stage.over


def test_a_receiver_who_leaves_without_an_answer_ends_the_session() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"NOOP\r\n")
    stage.end(Side.RECEIVER)
    assert stage.over


def test_a_line_without_end_ends_the_session_and_not_the_lab() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"x" * (LONGEST_LINE + 1))
    assert stage.over
    assert stage.said[Side.SENDER].endswith(b"500 5.5.2 Line too long\r\n")
    assert stage.said[Side.RECEIVER] == b""


def test_a_handshake_nobody_asked_for_is_witnessed_and_ends_the_session() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, client_hello("mx.example"))
    assert [fact.sni for fact in stage.facts if isinstance(fact, ClientHelloSeen)] == ["mx.example"]
    assert stage.over
    assert stage.said[Side.RECEIVER] == b""


def test_the_last_line_that_is_left_gets_the_space() -> None:
    def play(session: Session) -> Script:
        yield from session.answer(
            [
                Line("250-mx"),
                Line("", altered=True, instead_of="250-STARTTLS"),
                Line("250-SIZE"),
                Line("", altered=True, instead_of="250 HELP"),
            ],
            "removed two",
        )

    stage = rehearse(play)
    assert stage.said[Side.SENDER] == b"250-mx\r\n250 SIZE\r\n"
    facts = [
        (fact.speaker, fact.line, fact.altered, fact.instead_of) for fact in stage.facts if isinstance(fact, SmtpSaid)
    ]
    assert facts == [
        ("mx", "250-mx", False, ""),
        ("attacker", "", True, "250-STARTTLS"),
        ("mx", "250 SIZE", False, ""),
        ("attacker", "", True, "250 HELP"),
    ]


def test_an_untouched_reply_never_fires() -> None:
    def play(session: Session) -> Script:
        yield from session.answer([Line("250 mx")], "never said")

    assert not [fact for fact in rehearse(play).facts if isinstance(fact, AttackFired)]


def test_an_attack_fires_once_a_session() -> None:
    def play(session: Session) -> Script:
        yield from session.speak(reply(502, "no"), detail="first")
        yield from session.speak(reply(502, "no"), detail="second")

    stage = rehearse(play)
    assert [fact.detail for fact in stage.facts if isinstance(fact, AttackFired)] == ["first"]
    assert stage.said[Side.SENDER] == b"502 no\r\n502 no\r\n"


def test_what_was_read_too_far_goes_into_the_handshake() -> None:
    hello = client_hello()

    def play(session: Session) -> Script:
        yield from session.read_command()
        yield from session.end_tls(Shown("untrusted", "shown"))
        yield from session.start_tls()
        yield from session.relay_to_the_end()

    stage = rehearse(play)
    stage.hear(Side.SENDER, b"STARTTLS\r\n" + hello)
    assert stage.done == [SecureSender(Shown("untrusted", "shown"), hello), SecureReceiver(b"")]
    assert stage.session.secured


def test_pipe_passes_everything_both_ways_and_sees_the_hello() -> None:
    stage = rehearse(lambda session: session.pipe())
    hello = client_hello("mx.example")
    stage.hear(Side.SENDER, hello[:7])
    stage.hear(Side.SENDER, hello[7:])
    stage.hear(Side.RECEIVER, b"\x16\x03\x03server")
    assert stage.said == {Side.RECEIVER: hello, Side.SENDER: b"\x16\x03\x03server"}
    assert [fact.sni for fact in stage.facts if isinstance(fact, ClientHelloSeen)] == ["mx.example"]
    stage.end(Side.SENDER)
    assert stage.over


def test_a_message_in_clear_through_a_pipe_is_read() -> None:
    stage = rehearse(lambda session: session.pipe())
    stage.hear(Side.SENDER, MESSAGE)
    assert read(stage) == [(TOKEN, False)]
    assert ("sender", "Subject: hello") in said(stage)


def test_a_receiver_who_hangs_up_a_pipe_leaves_the_sender_to_be_heard() -> None:
    stage = rehearse(lambda session: session.pipe())
    stage.hear(Side.SENDER, client_hello())
    stage.end(Side.RECEIVER)
    assert stage.done[-1] == FinishSending(Side.SENDER)
    stage.hear(Side.SENDER, b"\x15\x03\x03\x00\x02\x02\x30MAIL FROM:<a@b.example>\r\n")
    assert said(stage) == [("sender", "MAIL FROM:<a@b.example>")]
    assert stage.said[Side.SENDER] == b""
    stage.end(Side.SENDER)
    assert stage.over


def test_the_hello_is_waited_for() -> None:
    hello = client_hello()
    found = []

    def play(session: Session) -> Script:
        found.append((yield from session.read_client_hello()))
        yield FinishSending(Side.SENDER)

    stage = rehearse(play)
    stage.hear(Side.SENDER, hello[:20])
    assert not found
    stage.hear(Side.SENDER, hello[20:])
    assert found[0].sni == "mx1.domain.example"
    assert stage.done == [FinishSending(Side.SENDER)]
    assert said(stage) == []


def test_what_is_no_hello_is_none_and_on_record() -> None:
    found = []

    def play(session: Session) -> Script:
        found.append((yield from session.read_client_hello()))

    stage = rehearse(play)
    stage.hear(Side.SENDER, b"MAIL FROM:<>\r\n" + MESSAGE)
    rehearse(play).end(Side.SENDER)
    assert found == [None, None]
    assert said(stage)[0] == ("sender", "MAIL FROM:<>")
    assert ("sender", f"X-Lab-Token: {TOKEN}") in said(stage)
    assert read(stage) == [(TOKEN, False)]


def test_clear_text_behind_a_hello_is_on_record() -> None:
    def play(session: Session) -> Script:
        yield from session.read_client_hello()

    stage = rehearse(play)
    stage.hear(Side.SENDER, client_hello() + ENVELOPE + b"lab-token:" + TOKEN.encode())
    assert [line for _, line in said(stage)] == [*ENVELOPE.decode().splitlines(), f"lab-token:{TOKEN}"]
    assert read(stage) == [(TOKEN, False)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_who_goes_on_in_clear_is_heard_out_however_it_is_cut(sizes: list[int]) -> None:
    stage = rehearse(lambda session: session.listen_to_the_end(record_alerts=True))
    octets = b"\x15\x03\x01\x00\x02\x02\x46" + ENVELOPE + MESSAGE + b"QUIT\r\nnever heard\r\n"
    turn = 0
    while octets:
        stage.hear(Side.SENDER, octets[: sizes[turn % len(sizes)]])
        octets, turn = octets[sizes[turn % len(sizes)] :], turn + 1
    lines = (ENVELOPE + MESSAGE + b"QUIT\r\n").decode().splitlines()
    heard = [fact for fact in stage.facts if isinstance(fact, SmtpSaid) and fact.speaker == "sender"]
    assert [fact.line for fact in heard][: len(lines)] == lines
    assert not any(fact.secured for fact in heard)
    assert read(stage) == [(TOKEN, False)]
    assert [fact.alert for fact in stage.facts if isinstance(fact, TlsFailed)] == ["protocol version"]
    assert stage.said[Side.SENDER].count(b"503 ") == len(lines) - 1
    assert stage.said[Side.SENDER].endswith(b"221 2.0.0 Bye\r\n")
    assert stage.said[Side.RECEIVER] == b""
    assert stage.over


def test_who_never_stops_is_answered_for_a_while_and_heard_up_to_a_bound() -> None:
    stage = rehearse(lambda session: session.listen_to_the_end())
    stage.hear(Side.SENDER, b"NOOP\r\n" * 500)
    assert stage.said[Side.SENDER].count(b"503 ") == 100
    assert len([line for speaker, line in said(stage) if speaker == "sender"]) == 500
    assert not stage.over
    stage.hear(Side.SENDER, b"x" * MOST_CLEAR_OCTETS)
    assert stage.over


def test_a_bdat_chunk_that_nobody_wants_is_read() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE)
    assert read(stage) == [(TOKEN, False)]
    stage.hear(Side.RECEIVER, b"500 what\r\n")
    assert said(stage)[:2] == [("mx", "220 hello"), ("sender", f"BDAT {len(MESSAGE)} LAST")]


def test_a_message_pipelined_behind_a_refused_data_is_read() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"DATA\r\n" + MESSAGE)
    stage.hear(Side.RECEIVER, b"503 no\r\n")
    assert read(stage) == [(TOKEN, False)]


@pytest.mark.parametrize("secured", [False, True])
def test_lines_whose_turn_never_came_are_on_record(secured: bool) -> None:
    def play(session: Session) -> Script:
        yield from session.relay_greeting()
        if secured:
            yield from session.end_tls(Shown("untrusted", "shown"))
        yield from session.relay_to_the_end()

    stage = rehearse(play)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, ENVELOPE + b"lab-token:" + TOKEN.encode())
    stage.end(Side.RECEIVER)
    assert stage.over
    heard = [fact for fact in stage.facts if isinstance(fact, SmtpSaid) and fact.speaker == "sender"]
    assert [fact.line for fact in heard] == [*ENVELOPE.decode().splitlines(), f"lab-token:{TOKEN}"]
    assert {fact.secured for fact in heard} == {secured}
    assert read(stage) == [(TOKEN, secured)]


def test_a_command_without_a_line_end_is_on_record() -> None:
    stage = rehearse(honest)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"MAIL FROM:<a@b.example>")
    stage.end(Side.SENDER)
    assert stage.over
    assert said(stage)[-1] == ("sender", "MAIL FROM:<a@b.example>")


def test_what_is_said_when_a_script_breaks_is_on_record_too() -> None:
    def broken(session: Session) -> Script:
        yield from session.relay_greeting()
        raise RuntimeError("a mistake in a script")

    stage = rehearse(broken)
    stage.hear(Side.SENDER, MESSAGE)
    with pytest.raises(RuntimeError):
        stage.hear(Side.RECEIVER, b"220 hello\r\n")
    assert ("sender", f"X-Lab-Token: {TOKEN}") in said(stage)
    assert read(stage) == [(TOKEN, False)]


def test_clear_text_on_the_wire_of_tls_is_in_clear() -> None:
    def play(session: Session) -> Script:
        yield from session.end_tls(Shown("untrusted", "shown"))
        yield from session.relay_to_the_end()

    stage = rehearse(play)
    stage.session.take_from_wire(b"\x17\x03\x03\x00\x04abcd" + ENVELOPE + MESSAGE)
    assert read(stage) == [(TOKEN, False)]
    heard = [fact for fact in stage.facts if isinstance(fact, SmtpSaid)]
    assert heard[0].line == "MAIL FROM:<a@b.example>"
    assert not any(fact.secured for fact in heard)


def test_a_sender_who_ends_tls_is_heard_in_clear() -> None:
    def play(session: Session) -> Script:
        yield from session.end_tls(Shown("untrusted", "shown"))
        yield from session.relay_to_the_end()
        yield from session.listen_behind_tls()

    stage = rehearse(play)
    stage.end(Side.SENDER)
    assert stage.done[-1] == LeaveTls()
    stage.hear(Side.SENDER, b"MAIL FROM:<a@b.example>\r\n")
    fact = stage.facts[0]
    assert isinstance(fact, SmtpSaid)
    assert (fact.line, fact.secured) == ("MAIL FROM:<a@b.example>", False)
    assert stage.said[Side.SENDER].startswith(b"503 ")
    stage.end(Side.SENDER)
    assert stage.over


def test_a_line_that_is_only_said_to_be_altered_fires_nothing() -> None:
    def idle(session: Session) -> Script:
        yield from session.relay_greeting()
        command = yield from session.read_command()
        assert command is not None
        same = [Line("250-mx"), Line("250 STARTTLS", altered=True, instead_of="250-STARTTLS"), Line("250 HELP")]
        yield from session.relay(command, lambda _: same, "changed nothing")
        yield from session.answer_with_more(reply(220, "go on"), (), "glued nothing behind it")
        yield from session.say_raw(b"", "said nothing")

    stage = rehearse(idle)
    stage.hear(Side.RECEIVER, b"220 hello\r\n")
    stage.hear(Side.SENDER, b"EHLO a\r\n")
    stage.hear(Side.RECEIVER, b"250-mx\r\n250-STARTTLS\r\n250 HELP\r\n")
    assert ("mx", "250-STARTTLS") in said(stage)
    assert not any(fact.altered for fact in stage.facts if isinstance(fact, SmtpSaid))
    assert not [fact for fact in stage.facts if isinstance(fact, AttackFired)]
