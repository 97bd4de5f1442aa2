"""hide_policy_record: the TXT record that announces the policy disappears.

On the wire: every query for _mta-sts.<domain> is answered with NXDOMAIN or SERVFAIL, or (TIMEOUT) not at all.

What it proves: whether a cached policy outlives its announcement, which is unprotected without DNSSEC.

A careful sender with an unexpired policy goes on honouring it (RFC 8461, section 3.3); one that has never seen the
domain delivers as without MTA-STS: that first contact is open by design (RFC 8461, section 10.1).
"""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.attacks.toolkit.attack import DnsContext, dns_attack
from mta_sts_lab.model import PUBLISHED_POLICY
from mta_sts_lab.rfc.domain_names import policy_record_name
from mta_sts_lab.world.zone import Answer, Question


def _detail(attacked: DnsContext) -> str:
    how = attacked.parameters["how"]
    done = "did not answer" if how == "TIMEOUT" else f"answered {how} to"
    return f"{done} the query for {policy_record_name(attacked.domain)}"


@dns_attack(
    "hides the TXT record that announces the policy",
    _detail,
    {"how": ("NXDOMAIN", "SERVFAIL", "TIMEOUT")},
    needs=PUBLISHED_POLICY,
)
def hide_policy_record(attacked: DnsContext, question: Question, answer: Answer) -> Answer:
    """Hide the name of the policy record. Where it does not exist there is nothing to hide."""
    how = str(attacked.parameters["how"])
    if question.name != policy_record_name(attacked.domain) or (how == "NXDOMAIN" and answer.rcode == "NXDOMAIN"):
        return answer
    return replace(answer, rcode=how, records=(), tampered_by="hide_policy_record")
