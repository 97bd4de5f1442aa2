"""alert_after_220: the handshake is refused with a TLS alert.

On the wire: as `garbage_after_220`, but the attacker sends a fatal alert, handshake_failure (RFC 8446, section 6.2), in
the place of the ServerHello.

What it proves: as `garbage_after_220`, with a failure that does not look like an attack: a host that shares no version
or cipher with the sender says this, and some senders send in clear text to such hosts.

A careful sender behaves as under `drop_after_starttls`.
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
