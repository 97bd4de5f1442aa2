"""What the attackers that end the sender's TLS have in common: TLS on both sides, and everything in between is read."""

from __future__ import annotations

from mta_sts_lab.attacks.instructions import Script, Shown
from mta_sts_lab.attacks.session import Session


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
                yield from session.hear_out_behind_tls()
            else:
                yield from session.hear_out()
            return
