"""From the record of a check to what is right and wrong with an adapter. Pure, as the rest of the judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.adapter_check.claims import the_claims
from mta_sts_lab.adapter_check.delivery import honest_delivery, why_not_ready
from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Word, at
from mta_sts_lab.adapter_check.hooks import the_hooks
from mta_sts_lab.adapter_check.probes import KNOWN_POLICY, REPORTED, is_probe
from mta_sts_lab.events import LabFailed, TargetFailed
from mta_sts_lab.record import Record

__all__ = ["LAB", "AdapterView", "Finding", "Word", "is_probe", "judge_adapter", "why_not_ready"]

#: The part under which a fault of the lab's own is told.
LAB = "the lab"


def judge_adapter(record: Record) -> tuple[Finding, ...]:
    """Return every check of an adapter, in the order in which one would mend them.

    Where the lab itself failed nothing is laid to the adapter.
    """
    view = AdapterView.of(record)
    failures = [(event, event.fact) for event in view.events if isinstance(event.fact, LabFailed)]
    found = [*honest_delivery(view), *the_hooks(view), *the_claims(view), *_target_failed(view)]
    if not failures:
        return tuple(found)
    told = [
        Finding(LAB, Word.INCONCLUSIVE, f"error in the lab: {fact.where}: {fact.error}", evidence=at([event]))
        for event, fact in failures
    ]
    return (*told, *(_doubted(finding) for finding in found))


def _doubted(finding: Finding) -> Finding:
    if finding.word is not Word.FAULT:
        return finding
    return replace(finding, word=Word.INCONCLUSIVE, code="", remedy="")


def _target_failed(view: AdapterView) -> Iterator[Finding]:
    # That reports could not be asked for is told where they are claimed.
    told_elsewhere = (REPORTED.id, KNOWN_POLICY.id)
    for event in view.events:
        if isinstance(event.fact, TargetFailed) and event.case not in told_elsewhere:
            yield Finding(
                "the contract, all along",
                Word.FAULT,
                event.fact.what,
                "target-failed",
                "The target stopped keeping its contract in the middle of the check; its log is beside the record.",
                at([event]),
            )
            return
