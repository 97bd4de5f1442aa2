"""From the record of a check to what is right and wrong with an adapter. Pure, as the rest of the judge."""

from __future__ import annotations

from collections.abc import Iterator

from lab.events import LabFailed, TargetFailed
from lab.judge.adapter.claims import the_claims
from lab.judge.adapter.delivery import honest_delivery, why_not_ready
from lab.judge.adapter.finding import AdapterView, Finding, Word, at
from lab.judge.adapter.hooks import the_hooks
from lab.judge.adapter.probes import REPORTED, is_probe
from lab.record import Record

__all__ = ["LAB", "AdapterView", "Finding", "Word", "is_probe", "judge_adapter", "why_not_ready"]

#: The part under which a fault of the lab's own is told.
LAB = "the lab"


def judge_adapter(record: Record) -> tuple[Finding, ...]:
    """Return every check of an adapter, in the order in which one would mend them."""
    return tuple(_findings(AdapterView.of(record)))


def _findings(view: AdapterView) -> Iterator[Finding]:
    yield from honest_delivery(view)
    yield from the_hooks(view)
    yield from the_claims(view)
    for event in view.events:
        # That reports could not be asked for is told where they are claimed.
        if isinstance(event.fact, TargetFailed) and event.case != REPORTED.id:
            yield Finding(
                "the contract, all along",
                Word.FAULT,
                event.fact.what,
                "target-failed",
                "The target stopped keeping its contract in the middle of the check; its log is beside the record.",
                at([event]),
            )
            return
    for event in view.events:
        if isinstance(event.fact, LabFailed):
            told = f"error in the lab: {event.fact.where}: {event.fact.error}"
            yield Finding(LAB, Word.INCONCLUSIVE, told, evidence=at([event]))
