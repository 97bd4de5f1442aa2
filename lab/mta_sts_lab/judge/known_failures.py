"""Known failures of a target, each with its reason. Their cases are run and judged as all others.

A known finding stays a finding, but only new ones make the exit status 1. A known failure that no longer occurs, in one
of its cases or with one of its codes, is reported too, and one that fits no case is a mistake in the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from mta_sts_lab.judge.checks import all_checks
from mta_sts_lab.judge.checks.evidence import ENDED_WITH_ITS_FIRST_MESSAGE
from mta_sts_lab.judge.run_findings import FINDINGS, RunKey, key_of
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict

#: The steps before and after the attack. What goes wrong in an honest world is another matter than what an attack
#: brings about, so a known failure has to name such a step. (`recover` is where most reports arrive.)
HONEST_STEPS = ("prime", "recover")

#: At least one: an entry without any could neither be seen nor be missed.
_Some = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class KnownFailuresError(Exception):
    """A list of known failures cannot be used. The message says where and why."""


class KnownFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a target is known to do wrong. `case` is a pattern over case ids (`*` and `?`)."""

    case: str
    obligation: str
    result: str
    #: The judge's reason codes (`delivered-clear`). All of them occur; the same obligation broken in another way is
    #: news.
    codes: tuple[str, ...]
    reason: str
    evidence: str
    #: The step in which it occurs, or several with `|` between them, in one of which at least; empty: in any but the
    #: honest ones.
    step: str = ""
    #: The shipped target that it was listed for, if the target is based on that one: it may occur, and need not.
    inherited_from: str = ""
    #: Whether it is a finding of the run: seen in this case, and known wherever else it is seen.
    of_the_run: bool = False
    #: Whether it need not occur: what shows it depends on how fast the run is.
    sometimes: bool = False

    @property
    def steps(self) -> frozenset[str]:
        """The steps that `step` names."""
        return frozenset(self.step.split("|"))

    def covers(self, judgement: Judgement) -> bool:
        """Whether a finding in one of its cases is the known one."""
        return judgement.reason in self.codes and self._is_about(judgement)

    def missing_from(self, findings: Iterable[Judgement]) -> tuple[str, ...]:
        """Return those of its codes that the findings of one of its cases do not have."""
        seen = {finding.reason for finding in findings if self._is_about(finding)}
        return tuple(code for code in self.codes if code not in seen)

    def _is_about(self, judgement: Judgement) -> bool:
        return (
            judgement.obligation == self.obligation
            and judgement.grade.value == self.result
            and (self.of_the_run or self._is_in_step(judgement))
        )

    def _is_in_step(self, judgement: Judgement) -> bool:
        return judgement.step in self.steps if self.step else judgement.step not in HONEST_STEPS


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A known failure as it is written down: one cause, every case that shows it, and the steps if it names any."""

    case: str | _Some
    obligation: str
    result: str
    codes: _Some
    reason: str
    evidence: str
    step: str | _Some = ""
    of_the_run: bool = False
    sometimes: bool = False

    def each(self) -> Iterator[KnownFailure]:
        """Yield one known failure for each case: each of them has to occur, in one of the steps at least.

        A mail server's own pauses decide in which steps it tries again, and so what a report of each step is about.
        """
        for case in _several(self.case):
            yield KnownFailure(
                case,
                self.obligation,
                self.result,
                self.codes,
                self.reason,
                self.evidence,
                "|".join(_several(self.step)),
                of_the_run=self.of_the_run,
                sometimes=self.sometimes,
            )


def _several(said: str | tuple[str, ...]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else said


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    known_failure: tuple[_Entry, ...] = ()
    #: The same by the name of before.
    deviation: tuple[_Entry, ...] = ()
    #: Those of the shipped target that this one is based on.
    inherited_from: str = ""
    inherited: tuple[_Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownComparison:
    """The findings of a run, compared with the known failures of the target."""

    #: Cases whose findings are all known, with the reasons.
    known: dict[str, tuple[str, ...]]
    #: Those that a case did not show, each with that case's id and with the codes that were missing.
    vanished: tuple[KnownFailure, ...]
    #: Those that fit no case of the catalogue.
    unmatched: tuple[KnownFailure, ...]
    #: Those of the shipped target that this one is based on, and that a case which passes shows to be cured.
    cured: tuple[KnownFailure, ...] = ()
    #: Findings of the run that are known in each case in which they were seen, with the reasons.
    known_of_the_run: dict[RunKey, tuple[str, ...]] = field(default_factory=dict)
    #: Cases whose findings are all known, and of which something else proves nothing.
    in_doubt: frozenset[str] = frozenset()

    @property
    def wrong_entries(self) -> tuple[tuple[str, KnownFailure], ...]:
        """The entries that have to be corrected, each behind what is wrong with it."""
        gone = (("no longer occurs", one) for one in self.vanished)
        return (*gone, *(("fits no case of the catalogue", one) for one in self.unmatched))


def matches(pattern: str, case: str) -> bool:
    """Whether a pattern fits a case id. `*` and `?` are wildcards; brackets are literal."""
    return _expression(pattern).fullmatch(case) is not None


# Each entry of a list is compared with each case: without this the list of chasquid took 2.5 s of processor time.
@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern))


def known_failures_file(folder: Path) -> Path:
    """Return where a folder's list of known failures is, which need not be there; lists had another name before."""
    old = folder / "known-deviations.toml"
    new = folder / "known-failures.toml"
    return old if old.exists() and not new.exists() else new


def read_known_failures(path: Path) -> tuple[KnownFailure, ...]:
    """Read a target's list of known failures; none if there is no file. Raises `KnownFailuresError`."""
    if not path.exists():
        return ()
    try:
        return known_failures_in(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise KnownFailuresError(f"{path}: {error}") from error


def known_failures_in(text: str, path: Path) -> tuple[KnownFailure, ...]:
    """Read the text of a list, which is that of a file. Raises `KnownFailuresError`."""
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise KnownFailuresError(f"{path}: {error}") from error
    own = (one for entry in (*file.known_failure, *file.deviation) for one in entry.each())
    inherited = (one for entry in file.inherited for one in entry.each())
    return (*own, *(msgspec.structs.replace(one, inherited_from=file.inherited_from) for one in inherited))


def with_inherited(own: str, inherited: str, origin: str) -> str:
    """Return a list of known failures, as TOML, followed by that of the shipped target that it adds to."""
    renamed = re.sub(r"^\[\[(known-failure|deviation)\]\]", "[[inherited]]", inherited, flags=re.MULTILINE)
    return f'inherited-from = "{origin}"\n\n{own}\n{renamed}'


def compare_with_known(
    verdicts: Sequence[Verdict], listed: Sequence[KnownFailure], catalogue: Iterable[str]
) -> KnownComparison:
    """Compare the findings of a run with the known failures.

    Every selected case that a pattern fits must show the failure, with all of its codes. A case that is unsupported
    does not show it, so that the known failure counts as vanished. An inherited one need not occur.
    """
    known: dict[str, tuple[str, ...]] = {}
    vanished: list[KnownFailure] = []
    cured: list[KnownFailure] = []
    in_doubt: set[str] = set()
    for verdict in verdicts:
        mine = [one for one in listed if matches(one.case, verdict.case) and _was_played(one, verdict)]
        findings = findings_of(verdict)
        covering = [[one for one in mine if one.covers(finding)] for finding in findings]
        if _unproved(verdict):
            in_doubt |= {verdict.case} if findings and all(covering) else set()
            continue
        if findings and all(covering):
            known[verdict.case] = tuple(dict.fromkeys(_why(one) for some in covering for one in some))
        for one in mine:
            missing = one.missing_from([*findings, *verdict.of_the_run])
            if one.inherited_from:
                cured += [msgspec.structs.replace(one, case=verdict.case)] if missing and _cured(one, verdict) else []
            elif missing and not one.sometimes:
                vanished.append(msgspec.structs.replace(one, case=verdict.case, codes=missing))
    ids = list(catalogue)
    own = [one for one in listed if not one.inherited_from]
    unmatched = tuple(one for one in own if not any(matches(one.case, case) for case in ids))
    of_the_run = _known_of_the_run(verdicts, listed)
    return KnownComparison(known, tuple(vanished), unmatched, tuple(cured), of_the_run, frozenset(in_doubt))


def _known_of_the_run(verdicts: Sequence[Verdict], listed: Sequence[KnownFailure]) -> dict[RunKey, tuple[str, ...]]:
    """Return the findings of the run that are listed, for the run or for each of their cases, with the reasons."""
    covering: dict[RunKey, list[list[KnownFailure]]] = {}
    for verdict in verdicts:
        for judgement in () if verdict.control_only else verdict.of_the_run:
            if judgement.grade in FINDINGS:
                mine = [one for one in listed if one.of_the_run or matches(one.case, verdict.case)]
                found = [one for one in mine if one.covers(judgement)]
                covering.setdefault(key_of(judgement), []).append(found)
    return {
        key: tuple(dict.fromkeys(_why(one) for some in found for one in some))
        for key, found in covering.items()
        if all(found)
    }


def _cured(known: KnownFailure, verdict: Verdict) -> bool:
    """Whether a case passes in which a check of the obligation found nothing: where no report is sent none is untrue.

    A check names the obligation that it finds broken; where it finds nothing it may name another one.
    """
    checks = {one.check for one in verdict.judgements}
    judged = {name for check in all_checks() if check.id in checks for name in check.obligations}
    judged |= {one.obligation for one in verdict.judgements}
    return verdict.grade is Grade.PASS and known.obligation in judged


def _why(known: KnownFailure) -> str:
    return f"{known.reason} (So does the shipped {known.inherited_from}.)" if known.inherited_from else known.reason


def findings_of(verdict: Verdict) -> list[Judgement]:
    """Return the judgements of a verdict that are findings against the target."""
    return [judgement for judgement in verdict.judgements if judgement.grade in FINDINGS]


def _unproved(verdict: Verdict) -> bool:
    """Whether anything in a verdict is inconclusive or an error in the lab.

    A known failure must not hide an error in the lab, and one that was not seen then has not vanished. A case whose
    first message was not delivered, and that is a finding, ends there: nothing else is in doubt.
    """
    ended = {one.step for one in findings_of(verdict)} & _ended_in(verdict)
    doubts = [one for one in verdict.judgements if one.grade in (Grade.LAB_ERROR, Grade.INCONCLUSIVE)]
    others = [one for one in doubts if not (ended and one.reason == ENDED_WITH_ITS_FIRST_MESSAGE)]
    by_its_grade = verdict.grade in (Grade.LAB_ERROR, Grade.INCONCLUSIVE) and not ended
    return bool(others) or by_its_grade


def _ended_in(verdict: Verdict) -> set[str]:
    return {one.step for one in verdict.judgements if one.reason == ENDED_WITH_ITS_FIRST_MESSAGE}


def _was_played(known: KnownFailure, verdict: Verdict) -> bool:
    """Whether a known failure could be seen: a case that ended with its first message shows nothing of later steps."""
    ended = _ended_in(verdict)
    return not ended or not ended.isdisjoint(known.steps)
