"""Which lines of a target's log are about which case: those that name its domain, its messages or their queue ids.

Every case has a random domain and every message a random token, so a line that has one of them in it is about that case
and no other. A queue id is the target's own word: it is taken from the reply by which the target took the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mta_sts_lab.events import CaseBegan, Event, MessageInjected

#: What a log writes in one piece: hexadecimal names, queue ids of every mail server so far (`4FqXkT0Zz1`,
#: `1tXyZa-00000001Ab-2CdE`, `5ANKGdXc012345`).
_WORD = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")

#: Characters. Shorter words of a reply may be anything; the shortest queue id seen has ten.
_SHORTEST_ID = 8


def log_by_case(log: str, events: Iterable[Event]) -> dict[str, tuple[str, ...]]:
    """Return the lines about each case, in the log's order."""
    cases = _marks(events)
    found: dict[str, list[str]] = {}
    for line in log.splitlines():
        words = (part for word in _WORD.findall(line) for part in (word, *word.split("-")))
        for case in dict.fromkeys(cases[word] for word in words if word in cases):
            found.setdefault(case, []).append(line)
    return {case: tuple(lines) for case, lines in found.items()}


def _marks(events: Iterable[Event]) -> Mapping[str, str]:
    """The words that only one case has, and which. A word that two cases have tells nothing."""
    marks: dict[str, str] = {}
    shared: set[str] = set()
    for event in events:
        for word in _own_words(event):
            if marks.setdefault(word, event.case) != event.case:
                shared.add(word)
    return {word: case for word, case in marks.items() if word not in shared}


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
