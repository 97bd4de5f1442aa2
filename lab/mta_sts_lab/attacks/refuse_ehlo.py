"""refuse_ehlo: EHLO is refused, so that the sender falls back to HELO, which offers nothing.

On the wire: every EHLO is answered with 502 by the attacker; the receiver never sees it. HELO and everything behind
it pass untouched, in clear text, and are read. STARTTLS without an EHLO is answered with 502 as well.

What it proves: the fall-back to HELO that RFC 5321, section 3.2 asks for is a way to lose every extension, TLS
included.

A careful sender that holds an enforce policy may say HELO, but no MAIL: without STARTTLS it keeps the message
(RFC 8461, section 5); under testing it delivers and reports `starttls-not-supported` (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.attack import Parameters, SmtpAttack
from mta_sts_lab.attacks.clear_text import NOT_IMPLEMENTED, relay_one_in_clear
from mta_sts_lab.attacks.edits import untouched
from mta_sts_lab.attacks.instructions import Script
from mta_sts_lab.attacks.session import Session
from mta_sts_lab.model import AttackForm


def play(session: Session, parameters: Parameters) -> Script:
    """Relay, with every EHLO refused."""
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if command.verb == "EHLO":
            yield from session.speak(NOT_IMPLEMENTED, detail="answered EHLO with 502, so that only HELO is left")
        elif (yield from relay_one_in_clear(session, command, untouched, "")) is None:
            return


ATTACK = SmtpAttack(
    AttackForm("refuse_ehlo", "smtp", "answers EHLO with 502, so that the sender falls back to HELO"),
    play,
)
