"""swap_policy_certificate: HTTPS to the policy host ends at the attacker, who shows a certificate that is not valid.

On the wire: the attacker is the TLS server of mta-sts.<domain>, with the certificate variant `certificate`. Requests
of a client that accepts it are passed on to the genuine policy host, over TLS of the attacker's own, and answered with
the genuine policy.

What it proves: whether the fetch verifies (RFC 8461, section 3.3: a chain to a trusted root, a DNS-ID for the policy
host, in date). A fetch that does not would take any policy from anybody.

A careful sender ends the handshake and has no new policy: an unexpired cached one stays in force (section 3.3), and
without one it delivers as without MTA-STS.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import SHOWN_CERTIFICATES, Parameters, ShowCertificate, https_attack


@https_attack(
    "ends HTTPS to the policy host at the attacker, with a certificate that is not valid",
    {"certificate": SHOWN_CERTIFICATES},
)
def swap_policy_certificate(parameters: Parameters) -> ShowCertificate:
    """Show that certificate."""
    return ShowCertificate(str(parameters["certificate"]))
