"""swap_certificate: TLS ends at the attacker, who shows a certificate that is not valid for the host.

On the wire: everything passes untouched until STARTTLS; then the attacker is the sender's TLS server, with the
certificate variant `certificate`, and the receiver's TLS client. What the sender says inside TLS is read and passed on.

What it proves: whether the sender verifies (RFC 8461, section 4.2: a valid chain to a trusted root, a DNS-ID that
matches the MX host's name, in date).

A careful sender with an enforce policy refuses before MAIL and keeps the message (RFC 8461, section 5); under testing
it delivers all the same and reports `certificate-not-trusted`, `certificate-expired` or `certificate-host-mismatch`
(RFC 8460, section 4.3.1).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import SHOWN_CERTIFICATES, Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.instructions import Shown
from mta_sts_lab.attacks.toolkit.relays import intercept


@smtp_attack("ends TLS at the attacker and shows a certificate that is not valid", {"certificate": SHOWN_CERTIFICATES})
def swap_certificate(session: Session, parameters: Parameters) -> Script:
    """Intercept with another certificate."""
    certificate = str(parameters["certificate"])
    yield from intercept(
        session, Shown(certificate, f"ended TLS at the attacker and showed a certificate: {certificate}")
    )
