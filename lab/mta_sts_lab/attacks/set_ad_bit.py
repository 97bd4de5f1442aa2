"""set_ad_bit: an answer says of itself that it has been validated.

On the wire: the AD bit is set in answers of a domain that nobody has signed.

What it proves: whether somebody gives weight to that bit although it came from a server and over a path that nobody has
a reason to trust (RFC 4035, section 4.9.3). A sender that validates by itself has no resolver whose word counts.

A careful sender makes nothing of it: the domain is unsigned, and its TLSA records do not count.
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import SIGNED_RECORDS
from mta_sts_lab.world.zone import Answer, Question


@dns_attack(
    "sets the AD bit in answers",
    lambda attacked: f"set the AD bit in an answer about {attacked.domain}",
    needs=SIGNED_RECORDS,
)
def set_ad_bit(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Claim that an answer has been validated."""
    return replace(answer, claims_ad=True)
