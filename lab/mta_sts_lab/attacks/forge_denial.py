"""forge_denial: records that exist are denied, without a proof.

On the wire: the answer says that there is nothing of the type. It has no NSEC record, or the one of another name
(`proof`), whose signature is genuine.

What it proves: whether somebody wants a proof of absence, and reads it. Whoever believes that there are no TLSA records
does no DANE; whoever believes that there is no DS record takes the whole domain for unsigned.

A careful sender, or its resolver, finds the answer bogus (RFC 4035, section 5.4), and the mail waits.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import SIGNED_RECORDS
from mta_sts_lab.world.zone import Answer, Question, Record, start_of_authority

#: A name of the domain that has no records.
_ANOTHER_NAME = "nothing-is-here"


@dns_attack(
    "denies records that exist",
    lambda attacked: f"denied that there are {attacked.parameters['type']} records",
    {"type": ("TLSA", "DS"), "proof": ("none", "of-another-name")},
    needs=SIGNED_RECORDS,
)
def forge_denial(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Say that there is nothing of the type."""
    kind = attacked.parameters["type"]
    if question.type != kind or not any(record.type == kind for record in answer.records):
        return answer
    authority: tuple[Record, ...] = (start_of_authority(attacked.domain),)
    if attacked.parameters["proof"] == "of-another-name":
        authority = attacked.overheard(Question(f"{_ANOTHER_NAME}.{attacked.domain}", question.type), 0).authority
    return Answer("NOERROR", (), "forge_denial", authority=authority)
