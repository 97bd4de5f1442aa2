"""A TLS-RPT report as JSON (RFC 8460, section 4.4), and its file name (section 5.1). Pure."""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from datetime import UTC, datetime

import msgspec

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.report_counts import AppliedPolicy, CountedDay, FailureKey, PolicyCounts
from mta_sts_lab.reference.report_spoiled import spoil


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report on its way: one policy domain, one day. Everything in it stays the same however often it is sent.

    `id` has the form of a msg-id without its angle brackets, so that the Subject can carry it (RFC 8460, section 5.3).
    Times are seconds since 1970.
    """

    id: str
    domain: str
    begins: int
    ends: int
    submitter: str
    text: bytes

    @property
    def packed(self) -> bytes:
        """The JSON text as one gzip member (RFC 8460, section 5.2)."""
        return gzip.compress(self.text, mtime=0)

    @property
    def file_name(self) -> str:
        """The recommended name of the packed report (RFC 8460, section 5.1)."""
        unique = self.id.partition("@")[0]
        return f"{self.submitter}!{self.domain}!{self.begins}!{self.ends}!{unique}.json.gz"


def contact(sender_domain: str) -> str:
    """Return the address that reports come from, and that answers questions about them."""
    return f"tls-reports@{sender_domain}"


def build_report(day: CountedDay, sender_domain: str, flaws: Flaws = NO_FLAWS) -> Report:
    """Return the report on a domain's day."""
    local_part = hashlib.sha256(day.domain.encode()).hexdigest()[:24] if flaws.reuses_report_id else day.id
    report_id = f"{local_part}@{sender_domain}"
    report: dict[str, object] = {
        "organization-name": "mta-sts-lab reference sender",
        "date-range": {"start-datetime": _moment(day.begins), "end-datetime": _moment(day.ends)},
        "contact-info": contact(sender_domain),
        "report-id": report_id,
        "policies": [_policy(day.domain, policy, one) for policy, one in day.policies.items()],
    }
    spoil(report, flaws)
    text = json.dumps(report).encode("ascii")
    return Report(report_id, day.domain, day.begins, day.ends, sender_domain, text)


def renewed(report: Report) -> Report:
    """Flaw: return the same report under another id."""
    fresh = f"{secrets.token_hex(12)}@{report.submitter}"
    text = report.text.replace(report.id.encode("ascii"), fresh.encode("ascii"))
    return msgspec.structs.replace(report, id=fresh, text=text)


def emptied(report: Report) -> Report:
    """Flaw: return the same report, with nothing counted in it."""
    content = json.loads(report.text)
    for block in content["policies"]:
        block["summary"] = dict.fromkeys(block["summary"], 0)
        block.pop("failure-details", None)
    return msgspec.structs.replace(report, text=json.dumps(content).encode("ascii"))


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _policy(domain: str, policy: AppliedPolicy, counts: PolicyCounts) -> dict[str, object]:
    described: dict[str, object] = {"policy-type": policy.type, "policy-domain": domain}
    if policy.type == "sts":
        described |= {"policy-string": list(policy.lines), "mx-host": list(policy.mx)}
    block: dict[str, object] = {
        "policy": described,
        "summary": {
            "total-successful-session-count": counts.successful,
            "total-failure-session-count": counts.failed,
        },
    }
    if counts.failures:
        block["failure-details"] = [_failure(key, number) for key, number in counts.failures.items()]
    return block


def _failure(key: FailureKey, number: int) -> dict[str, object]:
    details: dict[str, object] = {"result-type": key.result_type}
    if key.sending_ip:
        details["sending-mta-ip"] = key.sending_ip
    if key.mx_host:
        details["receiving-mx-hostname"] = key.mx_host
    if key.receiving_ip:
        details["receiving-ip"] = key.receiving_ip
    details["failed-session-count"] = number
    if key.reason:
        details["failure-reason-code"] = key.reason
    return details
