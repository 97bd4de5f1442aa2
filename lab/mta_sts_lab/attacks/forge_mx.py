"""forge_mx: the domain's MX record names the attacker's own host.

On the wire: the answer to the MX query of the recipient's domain holds one record, for the attacker's host. That host
exists, has a certificate that is valid for its own name, offers STARTTLS, and keeps what it is given.

What it proves: whether the sender matches MX names against the policy (RFC 8461, section 4.1). The certificate does
not help here: it verifies, for the name that the attacker chose.

A careful sender with an enforce policy does not deliver to a host outside it, and keeps the message (RFC 8461, section
5); under testing it delivers and reports the failure (RFC 8460, section 4.3.2; several result types fit).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.world.zone import Answer, Question, Record


@dns_attack(
    "answers the MX query with the attacker's own host",
    lambda attacked: f"answered the MX query with {attacked.attacker_mx}, the attacker's own host",
    needs_attacker_mx=True,
)
def forge_mx(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Answer the domain's MX query with the attacker's host."""
    if (question.name, question.type) != (attacked.domain, "MX"):
        return answer
    return Answer("NOERROR", (Record(attacked.domain, "MX", f"10 {attacked.attacker_mx}"),))
