"""Relays that several attacks share: in clear text, up to a broken handshake, or with TLS ending at the attacker."""

from __future__ import annotations

from collections.abc import Callable

from mta_sts_lab.attacks.toolkit.instructions import Script, Shown, Steps
from mta_sts_lab.attacks.toolkit.session import Session
from mta_sts_lab.attacks.toolkit.smtp import Command, Edit, Line, Reply, keyword, reply, untouched
from mta_sts_lab.rfc.client_hello import ClientHello

#: What a host without STARTTLS answers to it (RFC 5321, section 4.2.4).
NOT_IMPLEMENTED = reply(502, "5.5.1 Command not implemented")

#: In the words of RFC 3207, section 4.
GO_AHEAD = reply(220, "2.0.0 Ready to start TLS")


def change_offer(altered: Callable[[str], str]) -> Edit:
    """Return the edit of replies to EHLO in which each line that offers STARTTLS becomes what `altered` returns."""

    def edit(genuine: Reply) -> list[Line]:
        if genuine.code != "250":
            return untouched(genuine)
        return [
            Line(altered(line), altered=True, instead_of=line) if number and keyword(line) == "STARTTLS" else Line(line)
            for number, line in enumerate(genuine.lines)
        ]

    return edit


def relay_to_the_end_in_clear(session: Session, edit: Edit, detail: str) -> Script:
    """Relay a session in clear, with the replies to EHLO edited."""
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if (yield from relay_in_clear(session, command, edit, detail)) is None:
            return


def relay_in_clear(session: Session, command: Command, edit: Edit = untouched, detail: str = "") -> Steps[Reply | None]:
    """Relay one command, with the reply to EHLO edited; return the reply, or None when the session is over.

    A sender may send STARTTLS although it was not offered (it remembers, or it always tries). It gets a 502. The
    receiver must not see the command, because its 220 would let TLS through.
    """
    if command.verb == "STARTTLS":
        yield from session.speak(NOT_IMPLEMENTED)
        return NOT_IMPLEMENTED
    if command.verb == "EHLO":
        return (yield from session.relay(command, edit, detail))
    return (yield from session.relay(command))


def relay_with_answer(session: Session, verb: str, answer: Reply, detail: str) -> Script:
    """Relay a session in clear. One command is answered by the attacker and not passed on."""
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if command.verb == verb:
            yield from session.speak(answer, detail=detail)
        elif (yield from relay_in_clear(session, command)) is None:
            return


def relay_until_client_hello(session: Session) -> Steps[ClientHello | None]:
    """Relay until STARTTLS, answer it in the receiver's place, and return the ClientHello, or None if none comes.

    A sender that says something in clear instead is listened to. The ClientHello is read before anything else happens:
    a socket that is closed with unread input is reset, which may overtake the 220, and octets sent straight behind the
    220 may be taken for a part of its line.
    """
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if command.verb == "STARTTLS":
            yield from session.speak(GO_AHEAD)
            hello = yield from session.read_client_hello()
            if hello is None:
                yield from session.listen_to_the_end()
            return hello
        if (yield from session.relay(command)) is None:
            break
    return None


def answer_client_hello(session: Session, octets: bytes, detail: str) -> Script:
    """Relay until the ClientHello, answer it with octets that are no ServerHello, and listen to the sender."""
    if (yield from relay_until_client_hello(session)) is not None:
        yield from session.say_raw(octets, detail)
        yield from session.listen_to_the_end(record_alerts=True)


def intercept(session: Session, shown: Shown) -> Script:
    """Relay; at STARTTLS end the sender's TLS here, start another one with the receiver, and relay on.

    The receiver's TLS is only started when the sender has finished its handshake: one that refuses leaves no trace of
    TLS at the genuine host. (Under TLS 1.3 a refusal may come after that: RFC 8446, section 4.4.2.4.) Either way, a
    sender that refuses and goes on in clear on the same connection is heard.
    """
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        genuine = yield from session.relay(command)
        if genuine is None:
            return
        if command.verb == "STARTTLS" and genuine.code == "220":
            if (yield from session.end_tls(shown)):
                yield from session.start_tls()
                yield from session.relay_to_the_end()
                yield from session.listen_behind_tls()
            else:
                yield from session.listen_to_the_end()
            return
