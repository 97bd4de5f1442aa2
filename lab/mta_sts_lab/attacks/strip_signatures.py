"""strip_signatures: the signatures of an answer are taken away, as if its zone were not signed.

On the wire: the records are the genuine ones, and no RRSIG or NSEC record stands beside them.

What it proves: whether somebody knows that this zone has to be signed. Whoever takes an answer without signatures for
one of an unsigned zone does no DANE, and delivers to any certificate.

A careful sender, or its resolver, asks the zone above: that vouches for a key, so that an answer without signatures is
bogus (RFC 4035, section 5.2).
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import SIGNED_RECORDS
from mta_sts_lab.world.resource_data import OF_DNSSEC
from mta_sts_lab.world.zone import Answer, Question

#: The types of record that a value of the parameter stands for.
_TYPES = {"TLSA": ("TLSA",), "MX": ("MX",), "address": ("A", "AAAA")}


@dns_attack(
    "takes the signatures out of answers",
    lambda attacked: f"took the signatures of {attacked.parameters['type']} records out of an answer",
    {"type": tuple(_TYPES)},
    needs=SIGNED_RECORDS,
)
def strip_signatures(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Leave out what DNSSEC adds to an answer of one type; addresses are those of either family."""
    if question.type not in _TYPES[str(attacked.parameters["type"])]:
        return answer
    records, authority = (
        tuple(one for one in section if one.type not in OF_DNSSEC) for section in (answer.records, answer.authority)
    )
    return replace(answer, records=records, authority=authority)
