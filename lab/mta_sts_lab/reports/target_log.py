"""Which lines of the target's log are about a case or a message: those that name its domain, its token or a queue id.

Logs of all mail servers differ, and their clocks and the lab's as well: nothing but such names is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta_sts_lab.events import BounceReceived, CaseBegan, Event, MessageInjected, QueueSeen
from mta_sts_lab.record import Record

#: What a log writes in one piece: hexadecimal names, queue ids of every mail server so far (`4FqXkT0Zz1`,
#: `1tXyZa-00000001Ab-2CdE`, `5ANKGdXc012345`).
_WORD = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")

#: Characters. Shorter words of a reply may be anything; the shortest queue id seen has ten.
_SHORTEST_ID = 8

#: Lines that are quoted where none has the reason that the target gave.
_QUOTED = 2


@dataclass(frozen=True, slots=True)
class _Message:
    case: str
    step: str
    recipient: str
    #: The words by which a log may name it: its token, and what may be its queue id.
    names: frozenset[str]
    #: Why it was held or returned, as the target's queue or notice said last; empty if it did not.
    reason: str


class TargetLog:
    """The log of a run's target, and whose messages are in it."""

    def __init__(self, log: str = "", events: Iterable[Event] = ()) -> None:
        """Prefer `of`: `events` are those of one run, in which a name belongs to one case."""
        listed = list(events)
        #: The lines about each case, in the log's order.
        self.by_case: Mapping[str, tuple[str, ...]] = log_by_case(log, listed)
        self._messages = {(one.case, one.step): one for one in _messages(listed)}

    @classmethod
    def of(cls, log: str, record: Record) -> TargetLog:
        """Return the log of a record's target. Of merged runs, and of a case that was played again, the judged play."""
        judged = {event.number for events in record.judged_events().values() for event in events}
        runs = {run.header.run: run.events for run in record.runs()}
        logs = _log_of_each_run(log, list(runs))
        ones = [cls(logs[run], (one for one in events if one.number in judged)) for run, events in runs.items()]
        whole = cls()
        whole.by_case = {case: lines for one in ones for case, lines in one.by_case.items()}
        whole._messages = {place: message for one in ones for place, message in one._messages.items()}
        return whole

    def quoted(self, case: str, step: str = "") -> tuple[str, ...]:
        """Return the lines to quote about a step's message: with the reason that the target gave, or the last ones.

        Without a message of the step, or a line about it, the last lines about the case.
        """
        lines = self.by_case.get(case, ())
        message = self._messages.get((case, step))
        if message is None:
            return lines[-_QUOTED:]
        own = [line for line in lines if message.recipient in line or message.names & set(_words(line))]
        with_reason = [line for line in own if message.reason and message.reason in line][-1:]
        addressed = [line for line in own if message.recipient in line]
        return tuple(with_reason or addressed[-_QUOTED:] or own[-_QUOTED:]) or lines[-_QUOTED:]


def heading(run: str) -> str:
    """Return the line that stands before the log of a run in a file with the logs of several."""
    return f"--- {run}"


def _log_of_each_run(log: str, runs: Sequence[str]) -> Mapping[str, str]:
    """Return what the log of each run says. What stands before the first heading is the first run's."""
    headings = {heading(run): run for run in runs}
    found: dict[str, list[str]] = {run: [] for run in runs}
    of = runs[0]
    for line in log.splitlines():
        of = headings.get(line, of)
        found[of].append(line)
    return {run: "\n".join(lines) for run, lines in found.items()}


def log_by_case(log: str, events: Iterable[Event]) -> dict[str, tuple[str, ...]]:
    """Return the lines about each case of one run, in the log's order."""
    cases = _marks(events)
    found: dict[str, list[str]] = {}
    for line in log.splitlines():
        for case in dict.fromkeys(cases[word] for word in _words(line) if word in cases):
            found.setdefault(case, []).append(line)
    return {case: tuple(lines) for case, lines in found.items()}


def _words(line: str) -> Iterator[str]:
    for word in _WORD.findall(line):
        yield from (word, *word.split("-"))


def _marks(events: Iterable[Event]) -> Mapping[str, str]:
    """Return the words that only one case has, and which. A word that two cases have names neither of them."""
    marks: dict[str, str] = {}
    shared: set[str] = set()
    for event in events:
        for word in _own_words(event):
            if marks.setdefault(word, event.case) != event.case:
                shared.add(word)
    return {word: case for word, case in marks.items() if word not in shared}


def _messages(events: Iterable[Event]) -> Iterator[_Message]:
    injected: dict[str, Event] = {}
    reasons: dict[str, str] = {}
    for event in events:
        match event.fact:
            case MessageInjected(token=token):
                injected[token] = event
            case QueueSeen(token=token, reason=reason) | BounceReceived(token=token, diagnostic=reason) if reason:
                reasons[token] = reason
            case _:
                pass
    for token, event in injected.items():
        if isinstance(event.fact, MessageInjected):
            names = frozenset(_own_words(event))
            yield _Message(event.case, event.step, event.fact.recipient, names, reasons.get(token, ""))


def _own_words(event: Event) -> list[str]:
    match event.fact:
        case CaseBegan(domain=domain):
            return [domain.partition(".")[0]]
        case MessageInjected(token=token, reply=reply):
            return [token, *(word for word in _WORD.findall(reply) if _may_be_an_id(word))]
        case _:
            return []


def _may_be_an_id(word: str) -> bool:
    return len(word) >= _SHORTEST_ID and any(letter.isdigit() for letter in word)
