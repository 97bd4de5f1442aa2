"""forge_tlsa: the TLSA records of a host are replaced by one that cannot be used.

On the wire: the record in the answer has a usage that nobody knows. The signature is the old one, which was made for
the genuine record and does not fit.

What it proves: whether somebody checks the signature. Whoever does not is left with "TLS, under any certificate" (RFC
7672, section 2.2), so that the attacker needs no key of the host's.

A careful sender, or its resolver, finds the answer bogus; the host counts as unreachable, and the mail waits (RFC 7672,
section 2.1.2).
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import SIGNED_RECORDS
from mta_sts_lab.world.zone import Answer, Question

#: A record of an unknown usage, with a digest of the right length.
_UNUSABLE = f"9 1 1 {'00' * 32}"


@dns_attack(
    "forges TLSA records under the old signature",
    lambda attacked: f"replaced the TLSA records of a host of {attacked.domain}, and left the old signature",
    needs=SIGNED_RECORDS,
)
def forge_tlsa(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Replace the data of TLSA records."""
    if question.type != "TLSA":
        return answer
    forged = (replace(record, data=_UNUSABLE) if record.type == "TLSA" else record for record in answer.records)
    return replace(answer, records=tuple(dict.fromkeys(forged)))
