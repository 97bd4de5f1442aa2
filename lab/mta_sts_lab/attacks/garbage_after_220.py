"""garbage_after_220: the handshake is answered with octets that are no TLS.

On the wire: as `drop_after_starttls`, but the attacker sends 32 fixed octets in the place of the ServerHello, and
listens until the sender hangs up. An alert that the sender still sends is recorded, and so is whatever it says in clear
on the same connection, which is answered with 503.

What it proves: as `drop_after_starttls`, with a failure that looks like a broken TLS library instead of a broken
network: some senders retry in clear text only when "TLS is broken".

A careful sender behaves as under `drop_after_starttls`.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import answer_client_hello

#: Fixed, so that every run fails alike. The first octet is no TLS record type, and enough of them follow for any
#: library to look at a whole record header.
GARBAGE = b"\x7f" + b"these octets are no ServerHello"


@smtp_attack("says 220 to STARTTLS and answers the ClientHello with garbage")
def garbage_after_220(session: Session, parameters: Parameters) -> Script:
    """Relay until the ClientHello, then answer it with garbage."""
    yield from answer_client_hello(session, GARBAGE, "answered the ClientHello with octets that are no TLS")
