"""A TLS report as the JSON text that its sender wrote: the members that are understood, by their names of RFC 8460."""

from __future__ import annotations

import json
from typing import Any

from mta_sts_lab.tlsrpt.report import Failure, Policy, Report


def report_json(report: Report) -> str:
    """Return a report as JSON, indented. A member that is absent, or of no use, is left out."""
    range_of = {
        "start-datetime": report.start.text if report.start else None,
        "end-datetime": report.end.text if report.end else None,
    }
    whole = {
        "organization-name": report.organization_name,
        "date-range": _there(range_of),
        "contact-info": report.contact_info,
        "report-id": report.report_id,
        "policies": [_policy(policy) for policy in report.policies],
    }
    return json.dumps(_there(whole), indent=2)


def _policy(policy: Policy) -> dict[str, Any]:
    applied = {
        "policy-type": policy.policy_type,
        "policy-string": policy.policy_string,
        "policy-domain": policy.policy_domain,
        "mx-host": policy.mx_host,
    }
    counts = {
        "total-successful-session-count": policy.successful,
        "total-failure-session-count": policy.failed,
    }
    failures = None if policy.failures is None else [_failure(one) for one in policy.failures]
    return _there({"policy": _there(applied), "summary": _there(counts), "failure-details": failures})


def _failure(failure: Failure) -> dict[str, Any]:
    names = (
        *("result_type", "sending_mta_ip", "receiving_mx_hostname", "receiving_mx_helo", "receiving_ip"),
        *("failed_session_count", "additional_information", "failure_reason_code"),
    )
    return _there({name.replace("_", "-"): getattr(failure, name) for name in names})


def _there(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
