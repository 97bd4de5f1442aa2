"""The result of `sts-lab report-check` as JSON, as `report-check.schema.json` describes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mta_sts_lab.reports.escaping import legal_json
from mta_sts_lab.rfc.result_types import RESULT_MEANINGS
from mta_sts_lab.tlsrpt.checking import Checked, summary_of
from mta_sts_lab.tlsrpt.names import Moment
from mta_sts_lab.tlsrpt.report import Failure, Policy, Report

#: Rises when a reader of the JSON has to change. Version 1 had neither content nor failures.
VERSION = 2


def document(checked: Sequence[Checked], exit_code: int) -> str:
    """Return the results as JSON, with nothing in them that is not legal I-JSON."""
    return legal_json(
        {
            "format": "sts-lab report-check",
            "version": VERSION,
            "exit_code": exit_code,
            "summary": asdict(summary_of(checked)),
            "reports": [_report(one) for one in checked],
        }
    )


def _report(one: Checked) -> dict[str, Any]:
    return {
        "file": one.file,
        "place": one.place,
        "kind": one.kind.name.lower() if one.kind else None,
        "unusable": one.unreadable or one.other,
        "copy_of": one.copy_of,
        "remarks": list(one.remarks),
        "grades": dict(Counter(finding.grade.value for finding in one.findings)),
        "content": _content(one.content) if one.content else None,
        "findings": [asdict(finding) for finding in one.findings],
        "not_judged": [asdict(row) for row in one.not_judged],
    }


def _content(report: Report) -> dict[str, Any]:
    """Return a report as it was understood. A member that is absent, or of no use, is null."""
    return {
        "organization_name": report.organization_name,
        "start": _moment(report.start),
        "end": _moment(report.end),
        "contact_info": report.contact_info,
        "report_id": report.report_id,
        "policies": [_policy(policy) for policy in report.policies],
    }


def _moment(moment: Moment | None) -> dict[str, Any] | None:
    return {"text": moment.text, "unix": moment.unix} if moment else None


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "policy_type": policy.policy_type,
        "policy_domain": policy.policy_domain,
        "policy_string": policy.policy_string,
        "mx_host": policy.mx_host,
        "successful_sessions": policy.successful,
        "failed_sessions": policy.failed,
        "failures": [_failure(failure) for failure in policy.failures or ()],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    entry = asdict(failure)
    for name in ("where", "identity", "draft_names"):
        del entry[name]
    return entry | {"meaning": RESULT_MEANINGS.get(failure.result_type or "", "")}
