"""What the attackers that spoil a handshake have in common: they say the 220 to STARTTLS themselves."""

from __future__ import annotations

from mta_sts_lab.attacks.instructions import Steps
from mta_sts_lab.attacks.session import Session
from mta_sts_lab.attacks.smtp import reply
from mta_sts_lab.attacks.tls_wire import ClientHello

#: In the words of RFC 3207, section 4.
GO_AHEAD = reply(220, "2.0.0 Ready to start TLS")


def answer_client_hello(session: Session, octets: bytes, told: str) -> Steps[None]:
    """Relay until the ClientHello, answer it with octets that are no ServerHello, and hear the sender out."""
    if (yield from relay_until_client_hello(session)) is not None:
        yield from session.say_raw(octets, told)
        yield from session.hear_out(witness_alerts=True)


def relay_until_client_hello(session: Session) -> Steps[ClientHello | None]:
    """Relay until STARTTLS, answer it in the receiver's place, and return the ClientHello, or None if none comes.

    A sender that says something in clear instead is heard out.

    The ClientHello is read before anything else happens: a socket that is closed with unread input is reset, which may
    overtake the 220, and octets sent straight behind the 220 may be taken for a part of its line.
    """
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if command.verb == "STARTTLS":
            yield from session.speak(GO_AHEAD)
            hello = yield from session.read_client_hello()
            if hello is None:
                yield from session.hear_out()
            return hello
        if (yield from session.relay(command)) is None:
            break
    return None
