from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from lab.attacks.rehearsal import Rehearsal
from lab.attacks.session import FinishSending, Line, Reset, Script, SecureReceiver, SecureSender, Session, Shown, Side
from lab.attacks.smtp import LONGEST_LINE, reply
from lab.events import AttackFired, ClientHelloSeen, SmtpSaid, TokenRead
from tests.attacks.dialogues import ENVELOPE, MESSAGE, TOKEN, client_hello


def rehearse(play: Callable[[Session], Script]) -> Rehearsal:
    return Rehearsal("an_attack", play)


def honest(session: Session) -> Script:
    yield from session.relay_greeting()
    yield from session.relay_to_the_end()


def said(stage: Rehearsal) -> list[tuple[str, str]]:
    return [(fact.speaker, fact.line) for fact in stage.facts if isinstance(fact, SmtpSaid)]


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
    stage.end(Side.RECEIVER)
    assert stage.over


def test_a_message_in_clear_through_a_pipe_is_read() -> None:
    stage = rehearse(lambda session: session.pipe())
    stage.hear(Side.SENDER, MESSAGE)
    assert [(fact.token, fact.secured) for fact in stage.facts if isinstance(fact, TokenRead)] == [(TOKEN, False)]


def test_the_hello_is_waited_for_and_last_words_are_kept() -> None:
    hello = client_hello()
    found = []

    def play(session: Session) -> Script:
        found.append((yield from session.read_client_hello()))
        yield from session.finish_sending()
        found.append((yield from session.read_last_words()))
        yield from session.reset()

    stage = rehearse(play)
    stage.hear(Side.SENDER, hello[:20])
    assert not found
    stage.hear(Side.SENDER, hello[20:])
    stage.hear(Side.SENDER, b"last ")
    stage.hear(Side.SENDER, b"words" + bytes(1000))
    stage.end(Side.SENDER)
    assert found[0].sni == "mx1.domain.example"
    assert found[1].startswith(b"last words")
    assert len(found[1]) == 64
    assert stage.done == [FinishSending(Side.SENDER), Reset()]


def test_what_is_no_hello_is_none() -> None:
    found = []

    def play(session: Session) -> Script:
        found.append((yield from session.read_client_hello()))

    rehearse(play).hear(Side.SENDER, b"MAIL FROM:<>\r\n")
    rehearse(play).end(Side.SENDER)
    assert found == [None, None]
