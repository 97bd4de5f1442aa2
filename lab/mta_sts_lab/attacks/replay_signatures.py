"""replay_signatures: an answer of last month is given once more.

On the wire: the records and their signature are genuine, and the time for which the signature counts is over.

What it proves: whether somebody looks at that time (RFC 4035, section 5.3.1). Whoever does not can be shown a key for
ever that was stolen and replaced long ago.

A careful sender, or its resolver, finds the answer bogus, and the mail waits.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import SIGNED_RECORDS
from mta_sts_lab.world.zone import Answer, Question

#: Signatures of the lab's zones count for a week.
_DAYS_AGO = 30


@dns_attack(
    "gives an answer whose signature has expired",
    lambda attacked: f"answered a query for {attacked.parameters['type']} records with an answer of last month",
    {"type": ("TLSA", "MX")},
    needs=SIGNED_RECORDS,
)
def replay_signatures(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Give the answer of last month."""
    if question.type != attacked.parameters["type"]:
        return answer
    return attacked.overheard(question, _DAYS_AGO)
