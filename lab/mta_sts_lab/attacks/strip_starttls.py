"""strip_starttls: the offer of STARTTLS is removed.

On the wire: every reply to EHLO reaches the sender without its STARTTLS line; everything else passes untouched, in
clear text, and is read. A STARTTLS sent all the same is answered with 502 and never reaches the receiver.

What it proves: opportunistic TLS does not protect against an attacker who can write (RFC 3207, section 6). The sender
cannot distinguish this from a host without TLS, except by a policy that says otherwise.

A careful sender with an enforce policy sends no MAIL, tries other MX hosts, and keeps the message (RFC 8461, section
5); under testing it delivers and reports `starttls-not-supported` (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import change_offer, relay_to_the_end_in_clear


@smtp_attack("removes STARTTLS from the reply to EHLO")
def strip_starttls(session: Session, parameters: Parameters) -> Script:
    """Relay with the offer removed."""
    removed = change_offer(lambda line: "")
    yield from relay_to_the_end_in_clear(session, removed, "removed STARTTLS from the reply to EHLO")
