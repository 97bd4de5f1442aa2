"""A TLS-RPT report as JSON, and the record that says where it goes (RFC 8460, sections 3 and 4.4). Pure."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from lab.targets.reference.report_counts import AppliedPolicy, FailureKey, PolicyCounts

VERSION_PREFIX = b"v=TLSRPTv1;"
_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def report_addresses(records: Sequence[bytes]) -> tuple[str, ...]:
    """Return the `rua` URIs of a domain's TXT records at `_smtp._tls`; none unless exactly one record is there."""
    candidates = [record for record in records if record.startswith(VERSION_PREFIX)]
    if len(candidates) != 1:
        return ()
    try:
        fields = _DELIMITER.split(candidates[0].decode("ascii"))
    except UnicodeDecodeError:
        return ()
    for one in fields[1:]:
        name, equals, value = one.partition("=")
        if name == "rua" and equals:
            return tuple(uri for uri in _COMMA.split(value.strip(" \t")) if uri)
    return ()


def build_report(
    domain: str,
    counts: Mapping[AppliedPolicy, PolicyCounts],
    now: float,
    report_id: str,
    sender_domain: str,
) -> bytes:
    """Return the gzipped report on one policy domain for the UTC day of `now` (seconds since 1970)."""
    day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    report = {
        "organization-name": "mta-sts-lab reference sender",
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": f"tls-reports@{sender_domain}",
        "report-id": report_id,
        "policies": [_policy(domain, policy, one) for policy, one in counts.items()],
    }
    return gzip.compress(json.dumps(report).encode(), mtime=0)


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
