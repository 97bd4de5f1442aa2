"""The result of `sts-lab policy-check` as JSON."""

from __future__ import annotations

from dataclasses import asdict

from mta_sts_lab.policy_check import Checked
from mta_sts_lab.reports.escaping import legal_json

#: Rises when a reader of the JSON has to change.
VERSION = 1


def document(checked: Checked, exit_code: int) -> str:
    """Return the findings and what senders will do as JSON; what is foreign in it is escaped."""
    return legal_json(
        {
            "format": "sts-lab policy-check",
            "version": VERSION,
            "exit_code": exit_code,
            "problems": len(checked.problems),
            "findings": [asdict(finding) for finding in checked.findings],
            "senders": list(checked.outlook.sentences),
            "hosts": [asdict(host) for host in checked.outlook.hosts],
            "not_checked": list(checked.not_checked),
        }
    )
