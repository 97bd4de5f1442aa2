"""alert_after_220: the handshake is refused in the language of TLS.

On the wire: everything passes untouched until STARTTLS; the attacker answers it with 220 himself, waits for the whole
ClientHello, sends a fatal alert, handshake_failure (RFC 8446, section 6.2), in the place of the ServerHello, and
listens until the sender hangs up. The receiver never hears of STARTTLS.

What it proves: as `garbage_after_220`, with a failure that nothing about it shows to be an attack: it is what a host
says that shares no version or cipher with the sender, and some senders send in clear text to such hosts.

A careful sender that holds an enforce policy does not try again in clear, and keeps the message (RFC 8461, section
5); under testing it may deliver in clear after a retry, and reports a failure (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import answer_client_hello

#: A record of type alert, of two octets: fatal, handshake_failure.
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


@smtp_attack("says 220 to STARTTLS and answers the ClientHello with a fatal alert")
def alert_after_220(session: Session, parameters: Parameters) -> Script:
    """Relay until the ClientHello, then answer it with an alert."""
    yield from answer_client_hello(session, ALERT, "answered the ClientHello with a fatal alert")
