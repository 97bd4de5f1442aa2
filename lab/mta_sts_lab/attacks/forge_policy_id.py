"""forge_policy_id: the TXT record announces another policy id than the domain does.

On the wire: answers for _mta-sts.<domain> TXT hold the domain's own records with another legal `id`, always the same.

What it proves: little alone, since the sender fetches and gets the genuine policy. Together with `block_policy_host`
it makes a sender believe that its cached policy is out of date and that the new one cannot be had.

A careful sender goes on honouring the cached policy until it has expired or a new one was fetched (RFC 8461, section
3.3): a new id cancels nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import PUBLISHED_POLICY
from mta_sts_lab.rfc.domain_names import policy_record_name
from mta_sts_lab.world.zone import Answer, Question

#: Legal (RFC 8461, section 3.1: up to 32 letters and digits), and none that the lab ever publishes.
FORGED_ID = "forged20991231T235959Z"

_ID = re.compile(r"(?<![A-Za-z0-9])id=[A-Za-z0-9]*")


@dns_attack(
    "announces a policy id that the domain does not have",
    lambda attacked: f"announced the policy id {FORGED_ID} in the place of the genuine one",
    needs=PUBLISHED_POLICY,
)
def forge_policy_id(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Put the forged id in the place of the genuine one."""
    if (question.name, question.type) != (policy_record_name(attacked.domain), "TXT"):
        return answer
    records = tuple(
        replace(record, data=_ID.sub(f"id={FORGED_ID}", record.data)) if record.type == "TXT" else record
        for record in answer.records
    )
    return answer if records == answer.records else replace(answer, records=records)
