"""swap_certificate: TLS ends at the attacker, who shows a certificate that is not valid for the host.

On the wire: everything passes untouched until STARTTLS; then the attacker is the sender's TLS server, with the
certificate variant `certificate`, and the receiver's TLS client. What the sender says inside TLS is read and passed
on.

What it proves: whether the sender verifies (RFC 8461, section 4.2: a valid chain to a trusted root, a DNS-ID that
matches the MX host's name, in date). TLS without verification keeps out listeners, not attackers.

A careful sender that holds an enforce policy refuses before MAIL and keeps the message (RFC 8461, section 5); under
testing it delivers all the same and reports the reason: `certificate-not-trusted`, `certificate-expired`,
`certificate-host-mismatch` (RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.attack import Parameters, SmtpAttack
from mta_sts_lab.attacks.instructions import Script, Shown
from mta_sts_lab.attacks.intercepted_tls import intercept
from mta_sts_lab.attacks.session import Session
from mta_sts_lab.model import CERTIFICATE_VARIANTS, AttackForm

#: Of these only the default is sure to be refused by everybody who verifies. A wildcard is a valid certificate, shown
#: by the wrong host; nobody can refuse it.
VARIANTS = ("untrusted", *(variant for variant in CERTIFICATE_VARIANTS if variant not in ("valid", "untrusted")))


def play(session: Session, parameters: Parameters) -> Script:
    """Intercept with another certificate."""
    certificate = str(parameters["certificate"])
    detail = f"ended TLS at the attacker and showed a certificate: {certificate}"
    yield from intercept(session, Shown(certificate, detail))


ATTACK = SmtpAttack(
    AttackForm(
        "swap_certificate",
        "smtp",
        "ends TLS at the attacker and shows a certificate that is not valid",
        {"certificate": VARIANTS},
    ),
    play,
)
