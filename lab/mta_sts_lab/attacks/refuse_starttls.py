"""refuse_starttls: STARTTLS is offered and then refused.

On the wire: replies to EHLO pass untouched, with the offer; STARTTLS is answered by the attacker with `code`, and the
receiver never sees it. What the sender says then passes in clear text and is read. The codes: 454 is "TLS not
available" of RFC 3207, section 4; 502 is "not implemented"; 200 is no legal answer, but begins with the digit of
success (the vector of the striptls tool, and of CVE-2016-0772 where a library went on in clear).

What it proves: whether the sender takes anything but a 220 for success. One that takes the 200 for a 220 begins a
handshake, which is not answered: the attacker hangs up.

A careful sender with an enforce policy sends no MAIL and keeps the message (RFC 8461, section 5); under testing it
delivers as its own rules say and reports `starttls-not-supported` (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import relay_with_answer
from mta_sts_lab.attacks.toolkit.smtp import reply

_ANSWERS = {
    454: reply(454, "4.7.0 TLS not available due to temporary reason"),
    421: reply(421, "4.3.0 Service shutting down"),
    501: reply(501, "5.5.4 Syntax error in parameters"),
    502: reply(502, "5.5.1 Command not implemented"),
    554: reply(554, "5.7.0 TLS refused"),
    200: reply(200, "2.0.0 OK"),
}


@smtp_attack("offers STARTTLS and then refuses it", {"code": tuple(_ANSWERS)})
def refuse_starttls(session: Session, parameters: Parameters) -> Script:
    """Relay, with STARTTLS answered by the attacker."""
    answer = _ANSWERS[int(parameters["code"])]
    yield from relay_with_answer(session, "STARTTLS", answer, f"answered STARTTLS with {answer.code}")
