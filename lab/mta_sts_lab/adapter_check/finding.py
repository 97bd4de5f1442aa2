"""What is said of one part of an adapter, and what it is said from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mta_sts_lab.events import Event, PartTried
from mta_sts_lab.judge.facts import CaseFacts, MessageFacts, message_of_step
from mta_sts_lab.model import About, Case, Outcome
from mta_sts_lab.record import Record


class Word(StrEnum):
    """The result of one check of an adapter.

    `fault`: the adapter is wrong, and the code says how. `inconclusive`: it could have been shown, and was not.
    `not-provable`: nothing on the wire can show it for such a target. `skipped`: a fault before it is in the way.
    """

    OK = "ok"
    NOT_OFFERED = "not-offered"
    NOT_PROVABLE = "not-provable"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of an adapter.

    `code` is stable and empty unless the word is `fault`; `remedy` says what to do; `evidence` are numbers of events.
    """

    part: str
    word: Word
    observed: str
    code: str = ""
    remedy: str = ""
    evidence: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterView:
    """The record of a check, case by case, and what the target said of itself."""

    about: About
    events: Sequence[Event]
    _facts: dict[str, CaseFacts] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, record: Record) -> AdapterView:
        """Look at a record that was read back."""
        return cls(record.header.about, record.events)

    def facts(self, case: Case) -> CaseFacts:
        """Return what happened in a case."""
        if case.id not in self._facts:
            mine = [event for event in self.events if event.case == case.id]
            self._facts[case.id] = CaseFacts(case.id, mine, self.about.retry_seconds)
        return self._facts[case.id]

    def played(self, case: Case) -> bool:
        """Whether a case was begun at all."""
        return bool(self.facts(case).events)

    @property
    def of_run(self) -> CaseFacts:
        """What happened to no case in particular."""
        return CaseFacts("", [event for event in self.events if not event.case])

    def message(self, case: Case, step: str) -> MessageFacts | None:
        """Return the message that a step sent, as things stood at the end of the record."""
        events = self.facts(case).events
        return message_of_step(self.facts(case), step, events[-1].at) if events else None

    def outcome(self, case: Case, step: str) -> Outcome | None:
        """Return what had become of a step's message when the step ended; None if there was none."""
        facts = self.facts(case)
        ended = [event.at for event in facts.events if event.step == step]
        message = message_of_step(facts, step, max(ended, default=0.0))
        return message.outcome() if message else None

    def tries(self, part: str) -> list[tuple[Event, PartTried]]:
        """Return how often a part of the contract was tried, in order."""
        return [(event, fact) for event, fact in self.of_run.of_kind(PartTried) if fact.part == part]

    def claims(self, capability: str) -> bool:
        """Whether the target says of itself that it can do something."""
        return capability in self.about.capabilities


def at(events: Sequence[Event]) -> tuple[int, ...]:
    """Return the numbers of a few events."""
    return tuple(event.number for event in events[:5])


_METHOD = {"queue": "GET", "logs": "GET"}


def name_of(part: str) -> str:
    """Return what a hook is called in the listing."""
    return f"{_METHOD.get(part, 'POST')} /{part}"
