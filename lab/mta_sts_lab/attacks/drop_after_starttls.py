"""drop_after_starttls: the connection ends in the middle of the handshake.

On the wire: everything passes untouched until STARTTLS; the attacker answers it with 220 himself, waits for the whole
ClientHello, and closes the connection. The receiver never hears of STARTTLS.

What it proves: whether a sender takes a broken handshake for a reason to send in clear text, on a new connection or to
another host (RFC 3207, section 4.1; the vector of the NDSS 2025 study of clear-text retries).

A careful sender with an enforce policy does not try again in clear, and keeps the message (RFC 8461, section 5);
under testing it may deliver in clear after a retry, and reports a failure (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import relay_until_client_hello


@smtp_attack("says 220 to STARTTLS and closes after the ClientHello")
def drop_after_starttls(session: Session, parameters: Parameters) -> Script:
    """Relay until the ClientHello, then hang up."""
    if (yield from relay_until_client_hello(session)) is not None:
        session.fire("closed the connection after the ClientHello")
