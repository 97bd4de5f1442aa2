"""refuse_ehlo: EHLO is refused, so that the sender falls back to HELO, which offers nothing.

On the wire: every EHLO is answered with 502 by the attacker; the receiver never sees it. HELO and everything behind
it pass untouched, in clear text, and are read. STARTTLS without an EHLO is answered with 502 as well.

What it proves: the fall-back to HELO (RFC 5321, section 3.2) loses every extension, TLS included.

A careful sender with an enforce policy may say HELO, but no MAIL: it keeps the message (RFC 8461, section 5); under
testing it delivers and reports `starttls-not-supported` (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import NOT_IMPLEMENTED, relay_with_answer


@smtp_attack("answers EHLO with 502, so that the sender falls back to HELO")
def refuse_ehlo(session: Session, parameters: Parameters) -> Script:
    """Relay, with every EHLO refused."""
    yield from relay_with_answer(session, "EHLO", NOT_IMPLEMENTED, "answered EHLO with 502, so that only HELO is left")
