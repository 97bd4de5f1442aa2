"""hide_policy_record: the TXT record that announces the policy disappears.

On the wire: every query for _mta-sts.<domain> is answered with NXDOMAIN, without a record (NODATA), with SERVFAIL or
REFUSED, or (TIMEOUT) not at all.

What it proves: whether a cached policy outlives its announcement, which is unprotected without DNSSEC.

A careful sender with an unexpired policy goes on honouring it (RFC 8461, section 3.3); one that has never seen the
domain delivers as without MTA-STS: that first contact is open by design (RFC 8461, section 10.1).
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model.case import PUBLISHED_POLICY
from mta_sts_lab.rfc.domain_names import policy_record_name
from mta_sts_lab.world.zone import Answer, Question

#: What each `how` answers.
_RCODES = {
    "NXDOMAIN": "NXDOMAIN",
    "NODATA": "NOERROR",
    "SERVFAIL": "SERVFAIL",
    "REFUSED": "REFUSED",
    "TIMEOUT": "TIMEOUT",
}


def _detail(attacked: DnsContext) -> str:
    return f"{attacked.did} the query for {policy_record_name(attacked.domain)}"


@dns_attack(
    "hides the TXT record that announces the policy",
    _detail,
    {"how": tuple(_RCODES)},
    needs=PUBLISHED_POLICY,
)
def hide_policy_record(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Hide the policy record. Where there is none there is nothing to hide."""
    rcode = _RCODES[str(attacked.parameters["how"])]
    hidden = (rcode, ()) == (answer.rcode, answer.records)
    if question.name != policy_record_name(attacked.domain) or hidden:
        return answer
    return replace(answer, rcode=rcode, records=())
