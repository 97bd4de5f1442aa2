"""What one attempt at a message asks for at the end of a step, and when the next one has begun, is in its order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
from mta_sts_lab.events import DnsAnswered, Event, StepBegan
from mta_sts_lab.judge import judge
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.record import Record
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import load_shipped_catalogue

from tests.playing import play

CATALOGUE = load_shipped_catalogue()


def _asked_before(record: Record, step: str, kind: str) -> Record:
    """Return a record in which an attempt from before a step asks for records just before the step begins."""
    asked = next(one for one in record.events if isinstance(one.fact, DnsAnswered) and one.fact.type == kind)
    events: list[Event] = []
    for event in record.events:
        if isinstance(event.fact, StepBegan) and (event.case, event.step) == (asked.case, step):
            events.append(msgspec.structs.replace(asked, step=step, at=event.at))
        events.append(event)
    assert len(events) == len(record.events) + 1
    numbered = (msgspec.structs.replace(event, number=number) for number, event in enumerate(events, start=1))
    return replace(record, events=tuple(numbered))


def test_an_attempt_from_before_a_step_is_no_attempt_of_it(tmp_path: Path) -> None:
    case = "dane/mx-traversal[dane,first-differs]"
    played = play(CATALOGUE, [CATALOGUE.cases[case]], tmp_path)
    (verdict, *_) = judge(_asked_before(played.record, "attack", "TLSA"), load_requirements())
    assert (verdict.case, verdict.grade) == (case, Grade.PASS)
    assert [one.reason for one in verdict.of_the_run if one.grade is Grade.FAIL] == []


def test_an_attempt_that_goes_on_into_a_step_is_no_attempt_of_it(tmp_path: Path) -> None:
    """It asked for the hosts and their addresses before, and asks for TLSA records when the step's own has begun."""
    case = "dane/mx-traversal[dane,first-differs]"
    record = play(CATALOGUE, [CATALOGUE.cases[case]], tmp_path).record
    asked = {
        kind: next(one for one in record.events if _asks(one, case, "prime", kind)) for kind in ("MX", "A", "TLSA")
    }
    events: list[Event] = []
    for event in record.events:
        if isinstance(event.fact, StepBegan) and (event.case, event.step) == (case, "attack"):
            events += [msgspec.structs.replace(asked[kind], at=event.at) for kind in ("MX", "A")]
        events.append(event)
        if _asks(event, case, "attack", "MX"):
            events.append(msgspec.structs.replace(asked["TLSA"], step="attack", at=event.at + 1e-6))
    numbered = (msgspec.structs.replace(event, number=number) for number, event in enumerate(events, start=1))
    (verdict, *_) = judge(replace(record, events=tuple(numbered)), load_requirements())
    assert (verdict.case, verdict.grade) == (case, Grade.PASS)
    assert [one.reason for one in verdict.of_the_run if one.grade is Grade.FAIL] == []


def _asks(event: Event, case: str, step: str, kind: str) -> bool:
    return (event.case, event.step) == (case, step) and isinstance(event.fact, DnsAnswered) and event.fact.type == kind
