"""Known deviations: what a target is known to do wrong, each with its reason. They are run and judged all the same.

Nothing is rewritten: a finding stays a finding. A deviation only says that it was expected, so that a run tells news
from what is known. One that no longer occurs, in whichever of its cases, is itself news, and one that fits no case is
a mistake in the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.model import Grade, Judgement, Verdict

FINDINGS = (Grade.FAIL, Grade.WEAK)


class DeviationsError(Exception):
    """A file of known deviations that cannot be used; the message says where and why."""


class Deviation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a target is known to do otherwise. `case` is a pattern over case ids (`*` and `?`)."""

    case: str
    obligation: str
    result: str
    #: The judge's reason codes (`delivered-clear`): the same obligation broken in another way is news.
    codes: tuple[str, ...]
    reason: str
    evidence: str

    def covers(self, case: str, judgement: Judgement) -> bool:
        """Whether this is what the deviation speaks of."""
        return (
            matches(self.case, case)
            and judgement.obligation == self.obligation
            and judgement.grade.value == self.result
            and judgement.reason in self.codes
        )


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deviation as it is written down: one cause, and every case that shows it."""

    case: str | tuple[str, ...]
    obligation: str
    result: str
    codes: tuple[str, ...]
    reason: str
    evidence: str

    def deviations(self) -> Iterator[Deviation]:
        """Yield one for each case: each of them has to occur."""
        for case in (self.case,) if isinstance(self.case, str) else self.case:
            yield Deviation(case, self.obligation, self.result, self.codes, self.reason, self.evidence)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deviation: tuple[_Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Accounts:
    """The findings of a run set against what was known of the target."""

    #: Cases whose findings are all known, with the reasons.
    known: dict[str, tuple[str, ...]]
    #: Deviations that a played case did not show, each with that case's id.
    vanished: tuple[Deviation, ...]
    #: Deviations that fit no case of the catalogue.
    unmatched: tuple[Deviation, ...]


def matches(pattern: str, case: str) -> bool:
    """Whether a shell pattern fits a case id; brackets are part of ids and mean themselves."""
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, case) is not None


def read_deviations(path: Path) -> tuple[Deviation, ...]:
    """Read a target's file of known deviations; none if there is no file. Raises `DeviationsError`."""
    if not path.exists():
        return ()
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DeviationsError(f"{path}: {error}") from error
    return tuple(deviation for entry in file.deviation for deviation in entry.deviations())


def settle_accounts(verdicts: Sequence[Verdict], deviations: Sequence[Deviation], catalogue: Iterable[str]) -> Accounts:
    """Compare what was found with what was known.

    A pattern speaks for each case that it fits: every one of them that was played has to show the deviation.
    """
    known: dict[str, tuple[str, ...]] = {}
    vanished: list[Deviation] = []
    for verdict in verdicts:
        speaking = [deviation for deviation in deviations if matches(deviation.case, verdict.case)]
        findings = findings_of(verdict)
        covering = [[one for one in speaking if one.covers(verdict.case, finding)] for finding in findings]
        if _unproved(verdict):
            continue
        if findings and all(covering):
            known[verdict.case] = tuple(dict.fromkeys(one.reason for some in covering for one in some))
        if _played_in_part(verdict):
            continue
        shown = {one for some in covering for one in some}
        vanished += [msgspec.structs.replace(one, case=verdict.case) for one in speaking if one not in shown]
    ids = list(catalogue)
    return Accounts(
        known=known,
        vanished=tuple(vanished),
        unmatched=tuple(
            deviation for deviation in deviations if not any(matches(deviation.case, case) for case in ids)
        ),
    )


def findings_of(verdict: Verdict) -> list[Judgement]:
    """Return the judgements of a verdict that are findings against the target."""
    return [judgement for judgement in verdict.judgements if judgement.grade in FINDINGS]


def _unproved(verdict: Verdict) -> bool:
    """Whether anything beside the findings is in doubt, or the case not about the target at all.

    A known failure must not hide an error of the lab's, and what was not seen then has not vanished.
    """
    if verdict.grade is Grade.UNSUPPORTED:
        return True
    grades = (verdict.grade, *(judgement.grade for judgement in verdict.judgements))
    return any(grade in (Grade.LAB_ERROR, Grade.INCONCLUSIVE) for grade in grades)


def _played_in_part(verdict: Verdict) -> bool:
    """Whether the target does not offer what a later step needs: what that step would show has not vanished."""
    return any(judgement.grade is Grade.UNSUPPORTED for judgement in verdict.judgements)
