"""downgrade_tls: nothing newer than an obsolete TLS version is offered.

On the wire: everything passes untouched until STARTTLS; then the attacker is the sender's TLS server and accepts
`version` and no other, with every cipher suite that goes with it (OpenSSL's security level 0). He shows a certificate
that is valid for the host, so that only the version is at issue; no real attacker could have it. Inside TLS he reads
and passes on.

What it proves: the oldest version that the sender takes. TLS 1.0 and 1.1 must not be negotiated (RFC 9325, section
3.1.1), which RFC 8461, section 7.2 points to as advice; opportunistic senders may be laxer (RFC 9325, section 5.2).

A careful sender ends the handshake with the alert `protocol_version`, or takes this attacker's, sends nothing in clear
under an enforce policy, and keeps the message.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.instructions import Shown
from mta_sts_lab.attacks.toolkit.relays import intercept


@smtp_attack("offers nothing newer than TLS 1.0 or 1.1, with a valid certificate", {"version": ("1.0", "1.1")})
def downgrade_tls(session: Session, parameters: Parameters) -> Script:
    """Intercept with an obsolete version."""
    version = str(parameters["version"])
    detail = f"offered no other version than TLS {version}"
    yield from intercept(session, Shown("valid", detail, only_version=version, fires_on_answer=True))
