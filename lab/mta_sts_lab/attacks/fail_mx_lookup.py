"""fail_mx_lookup: nobody learns from DNS where the domain's mail goes.

On the wire: every query for the domain's own name, its MX and address records among them, is answered with SERVFAIL,
REFUSED or NXDOMAIN, or (TIMEOUT) not at all. The names below it are left alone.

What it proves: whether the sender tells a look-up that failed from a domain that does not exist (RFC 5321, section
5.1), and whether it guesses at a host.

A careful sender keeps the message and tries again later if the look-up fails, and returns it if the domain does not
exist, unless a policy that it knows says that it does.
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.world.zone import Answer, Question


def _detail(attacked: DnsContext) -> str:
    return f"{attacked.did} a query for {attacked.domain}"


@dns_attack(
    "answers no query for the domain's own name",
    _detail,
    {"how": ("SERVFAIL", "REFUSED", "NXDOMAIN", "TIMEOUT")},
)
def fail_mx_lookup(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Let the look-up fail, whatever is asked about the domain's own name."""
    if question.name != attacked.domain:
        return answer
    return replace(answer, rcode=str(attacked.parameters["how"]), records=())
