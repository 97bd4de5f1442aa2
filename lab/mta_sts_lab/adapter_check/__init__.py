"""Judges the adapter of a target from the record of its check. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.adapter_check.claims import the_claims
from mta_sts_lab.adapter_check.delivery import honest_delivery, why_not_ready
from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status, at
from mta_sts_lab.adapter_check.hooks import the_hooks
from mta_sts_lab.adapter_check.probes import KNOWN_POLICY, REPORTED, is_probe
from mta_sts_lab.events import LabFailed, TargetFailed
from mta_sts_lab.record import Record

__all__ = ["LAB", "AdapterView", "Finding", "Status", "is_probe", "judge_adapter", "why_not_ready"]

#: The part of findings about errors in the lab.
LAB = "the lab"


def judge_adapter(record: Record) -> tuple[Finding, ...]:
    """Return the findings on an adapter, in the order in which to fix them.

    If the lab itself failed, no finding is a fault of the adapter.
    """
    view = AdapterView.of(record)
    failures = [(event, event.fact) for event in view.events if isinstance(event.fact, LabFailed)]
    found = [*honest_delivery(view), *the_hooks(view), *the_claims(view), *_target_failed(view)]
    if not failures:
        return tuple(found)
    lab_errors = [
        Finding(LAB, Status.INCONCLUSIVE, f"error in the lab: {fact.where}: {fact.error}", evidence=at([event]))
        for event, fact in failures
    ]
    return (*lab_errors, *(_doubted(finding) for finding in found))


def _doubted(finding: Finding) -> Finding:
    if finding.status not in (Status.FAULT, Status.FINDING):
        return finding
    return replace(finding, status=Status.INCONCLUSIVE, code="", remedy="")


def _target_failed(view: AdapterView) -> Iterator[Finding]:
    # A failed request for reports is a finding of the claim tls-rpt.
    found_elsewhere = (REPORTED.id, KNOWN_POLICY.id)
    for event in view.events:
        if isinstance(event.fact, TargetFailed) and event.case not in found_elsewhere:
            yield Finding(
                "the contract, all along",
                Status.FAULT,
                event.fact.what,
                "target-failed",
                "The target stopped keeping its contract in the middle of the check; its log is beside the record.",
                at([event]),
            )
            return
