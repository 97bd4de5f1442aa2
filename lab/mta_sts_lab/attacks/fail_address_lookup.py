"""fail_address_lookup: the addresses of one family cannot be looked up.

On the wire: every query for AAAA records (or A records) of the domain and of the names below it is answered with
SERVFAIL, or (TIMEOUT) not at all. The other type is answered honestly. Name servers were seen to do that by mistake,
too (RFC 4074, section 4).

What it proves: whether one broken look-up stops mail although the other one has found where the host is.

A careful sender uses the addresses that it has found, under the policy that is in force.
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.world.zone import Answer, Question


def _detail(attacked: DnsContext) -> str:
    kind = attacked.parameters["type"]
    return f"{attacked.did} a query for the {kind} records of a host of {attacked.domain}"


@dns_attack(
    "breaks the look-up of a host's addresses in one family",
    _detail,
    {"type": ("AAAA", "A"), "how": ("SERVFAIL", "TIMEOUT")},
)
def fail_address_lookup(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Let the look-up fail."""
    if question.type != attacked.parameters["type"]:
        return answer
    return replace(answer, rcode=str(attacked.parameters["how"]), records=())
