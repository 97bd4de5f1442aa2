"""Says what is wrong with a mail server that does not deliver honest mail, by its own words: its queue and its log.

Each shipped mail server has its words in `diagnoses.toml` of its folder: what the queue or the log says, what that
means, and what to do. Where none fits, the finding is what the lab saw (`mta_sts_lab.adapter_check.delivery`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status
from mta_sts_lab.events import QueueSeen
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.targets.contract import TargetError

#: In a shipped target's folder.
FILE = "diagnoses.toml"

#: Characters of a quoted line, and lines of a log that are searched: the last ones.
_LONGEST, _MOST_LINES = 400, 20_000


class Diagnosis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What some words of a mail server mean. `pattern` is a regular expression; the first that fits counts.

    `about`: "honest" is mail without an attack; "unprotected" is mail that an attack held although no policy asked for
    that. With `stuck` it also fits a message that is still being delivered, of which no words are there. `in_log`: what
    is "unprotected" is also looked for in the log, of a mail server that has no policies: the line names no case.
    """

    code: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]+$")]
    means: str
    remedy: str
    pattern: str = ""
    about: Literal["honest", "unprotected"] = "honest"
    stuck: bool = False
    in_log: bool = False

    def __post_init__(self) -> None:
        """Refuse a pattern that is none."""
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"`pattern` of {self.code} is no regular expression: {error}") from error


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    diagnosis: tuple[Diagnosis, ...] = ()


def read_diagnoses(folder: Path) -> tuple[Diagnosis, ...]:
    """Read the words of a mail server; none if its folder has no such file. Raises `TargetError`."""
    file = folder / FILE
    if not file.exists():
        return ()
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File).diagnosis
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TargetError(f"{file}: {error}") from error


def diagnosed(found: Finding, view: AdapterView, known: Iterable[Diagnosis], log: str) -> tuple[Finding, str]:
    """Return what a finding about honest mail comes to by the mail server's own words, and the line that says so."""
    reasons = [fact.reason for event in view.events if isinstance(fact := event.fact, QueueSeen) and fact.reason]
    words = [*reversed(reasons), *log.splitlines()[-_MOST_LINES:]]
    stuck = any(isinstance(event.fact, QueueSeen) for event in view.events) and not reasons
    for one in known:
        if one.about != "honest":
            continue
        line = _first(one.pattern, words)
        if line or (one.stuck and stuck and view_is_stuck(view)):
            return Finding(found.part, Status.FAULT, one.means, one.code, one.remedy, found.evidence), line
    return found, next(iter(words[: len(reasons)]), "")


def view_is_stuck(view: AdapterView) -> bool:
    """Whether the last that the queue showed is a message that is still being delivered."""
    seen = [event.fact for event in view.events if isinstance(event.fact, QueueSeen)]
    return bool(seen) and seen[-1].state == "active"


def held_without_a_policy(
    view: AdapterView, cases: Iterable[Case], known: Sequence[Diagnosis], log: str
) -> tuple[Diagnosis, str, int] | None:
    """Return why mail was held that no policy asked to be held: the diagnosis, the words, in how many cases.

    The words are the queue's, which name the case. Where a queue only says that there was an error, the log says which,
    and not in how many cases: then the number is 0.
    """
    reasons: list[str] = []
    for case in cases:
        if case.mode is Mode.ABSENT:
            said = [fact.reason for _, fact in view.facts(case).of_kind(QueueSeen) if fact.reason]
            reasons += said[-1:]
    unprotected = [one for one in known if one.about == "unprotected"]
    for one in unprotected:
        fitting = [reason for reason in reasons if re.search(one.pattern, reason)]
        if fitting:
            return one, fitting[-1][:_LONGEST], len(fitting)
    for one in unprotected if reasons else ():
        if one.in_log and (line := _first(one.pattern, log.splitlines()[-_MOST_LINES:])):
            return one, line, 0
    return None


def _first(pattern: str, words: Iterable[str]) -> str:
    if not pattern:
        return ""
    expression = re.compile(pattern)
    return next((word.strip()[:_LONGEST] for word in words if expression.search(word)), "")
