"""fail_tlsa_lookup: nobody learns from DNS whether a host has TLSA records.

On the wire: every query for TLSA records below the domain is answered with REFUSED or SERVFAIL, or (TIMEOUT) not at
all. All other queries are answered honestly. It takes no key and no forgery: whoever is on the path to the name server
can drop a query.

What it proves: whether a look-up that failed is told from one that found no records. Whoever takes the one for the
other does no DANE as soon as somebody drops packets (RFC 7672, section 2.1.2).

A careful sender holds the host for unreachable, and the mail waits.
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import SIGNED_RECORDS
from mta_sts_lab.world.zone import Answer, Question


def _detail(attacked: DnsContext) -> str:
    return f"{attacked.did} a query for the TLSA records of a host of {attacked.domain}"


@dns_attack(
    "breaks the look-up of TLSA records",
    _detail,
    {"how": ("TIMEOUT", "REFUSED", "SERVFAIL")},
    needs=SIGNED_RECORDS,
)
def fail_tlsa_lookup(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Let the look-up fail."""
    if question.type != "TLSA":
        return answer
    return replace(answer, rcode=str(attacked.parameters["how"]), records=())
