"""A finding on one part of an adapter, and the record that findings are made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mta_sts_lab.events import Event, PartTried, StepEnded
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts, message_of_step
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.target import About
from mta_sts_lab.record import Record


class Status(StrEnum):
    """The result of one check of an adapter.

    `fault`: the adapter is wrong, and the code says how. `finding`: the adapter is in order, and the mail server does
    something that `sts-lab run` judges. `inconclusive`: not proved in this run. `not-provable`:
    nothing on the network can prove it for this target. `skipped`: an earlier fault prevents the check.
    """

    OK = "ok"
    NOT_OFFERED = "not-offered"
    FINDING = "finding"
    NOT_PROVABLE = "not-provable"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of an adapter.

    `code` is stable and empty unless the status is `fault` or `finding`; `remedy` says what to do; `evidence` are
    numbers of events.
    """

    part: str
    status: Status
    observed: str
    code: str = ""
    remedy: str = ""
    evidence: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterView:
    """The record of a check by case, and the target's answer to GET /about."""

    about: About
    events: Sequence[Event]
    _facts: Mapping[str, CaseFacts] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_case: defaultdict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            by_case[event.case].append(event)
        facts = {case: CaseFacts(case, mine, self.about.retry_seconds) for case, mine in by_case.items()}
        object.__setattr__(self, "_facts", facts)

    @classmethod
    def of(cls, record: Record) -> AdapterView:
        """Return the view of a record."""
        return cls(record.header.about, record.events)

    def facts(self, case: Case) -> CaseFacts:
        """Return the facts of a case."""
        return self._facts.get(case.id, CaseFacts(case.id, ()))

    def played(self, case: Case) -> bool:
        """Whether a case was begun at all."""
        return bool(self.facts(case).events)

    @property
    def of_run(self) -> CaseFacts:
        """The events that belong to no case."""
        return self._facts.get("", CaseFacts("", ()))

    def message(self, case: Case, step: str) -> MessageFacts | None:
        """Return the facts of the message that a step sent, at the end of the record."""
        events = self.facts(case).events
        return message_of_step(self.facts(case), step, events[-1].at) if events else None

    def outcome(self, case: Case, step: str) -> Outcome | None:
        """Return the outcome of a step's message at the end of the step; None if there was no message.

        What comes after the end, such as another attempt of a message that waits, has the step's name in the record.
        """
        facts = self.facts(case)
        ended = [event.at for event, _ in facts.of_kind(StepEnded, step)]
        until = ended or [event.at for event in facts.events if event.step == step]
        message = message_of_step(facts, step, max(until, default=0.0))
        return message.outcome() if message else None

    def tries(self, part: str) -> list[tuple[Event, PartTried]]:
        """Return the attempts to use a part of the contract, in order."""
        return [(event, fact) for event, fact in self.of_run.of_kind(PartTried) if fact.part == part]

    def claims(self, capability: str) -> bool:
        """Whether the target claims a capability."""
        return capability in self.about.capabilities


def at(events: Sequence[Event]) -> tuple[int, ...]:
    """Return the numbers of a few events."""
    return tuple(event.number for event in events[:5])


_METHOD = {"queue": "GET", "logs": "GET"}


def name_of(part: str) -> str:
    """Return the name of a hook in the output."""
    return f"{_METHOD.get(part, 'POST')} /{part}"
