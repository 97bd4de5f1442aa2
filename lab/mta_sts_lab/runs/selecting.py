"""Which cases a request is about: by name, obligation, policy mode, level, and by what changed since another run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

from mta_sts_lab import __version__
from mta_sts_lab.catalogue import Catalogue, NothingSelected
from mta_sts_lab.judge.known_failures import matches
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.record import Header
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.command_line import what_is_tested
from mta_sts_lab.reports.glossary import LEVELS
from mta_sts_lab.requirements import load_requirements, near_misses
from mta_sts_lab.runs.errors import UsageError

#: An obligation's id, or a pattern of some: STS-5-03, RPT-4.*.
_OBLIGATION = re.compile(r"[A-Z]+-[0-9A-Z.*?-]*")

#: What a run did not prove is played again. What its target did not claim may be claimed by now.
_UNPROVED = (Grade.INCONCLUSIVE.value, Grade.LAB_ERROR.value, Grade.UNSUPPORTED.value)


def choose_cases(
    catalogue: Catalogue,
    selection: Sequence[str],
    modes: Sequence[str],
    levels: Sequence[str] = (),
    since: Path | None = None,
) -> tuple[Case, ...]:
    """Return the selected cases, each once, in the catalogue's order.

    `since` is the folder of a run: only what changed since then. Raises `NothingSelected`, `UsageError` and
    `RecordError`.
    """
    _refuse_unknown("mode", modes, [mode.value for mode in Mode])
    _refuse_unknown("level", levels, list(LEVELS))
    found = _named(catalogue, selection)
    if modes:
        found = [case for case in found if case.mode.value in modes]
        _refuse_none(found, f"the selection has no case under {' or '.join(modes)}")
    if levels:
        of_level = {name for name, one in _requirements().items() if one.level in levels}
        about = _about(catalogue, of_level)
        found = [case for case in found if case.id in about]
        _refuse_none(found, f"the selection has no case about an obligation of level {' or '.join(levels)}")
    if since is not None:
        changed = changed_since(catalogue, since)
        found = [case for case in found if case.id in changed]
        _refuse_none(found, f"nothing that is selected is new or changed since {since}, and all of it was proved there")
    return tuple(found)


def changed_since(catalogue: Catalogue, folder: Path) -> set[str]:
    """Return the cases that a run did not have, or had otherwise, or did not prove. Raises `RecordError`.

    A case is another one, too, if the control case that it is compared with is. All are, if another version of the lab
    played them: its attacks and checks may be others.
    """
    if _header_of(folder).lab_version != __version__:
        return set(catalogue.cases)
    played = {case.id: case for case in _header_of(folder).cases}
    verdicts = verdicts_before(folder)
    same = {case.id for case in catalogue.cases.values() if played.get(case.id) == case}
    return {
        case.id
        for case in catalogue.cases.values()
        if case.id not in same
        or (case.control and case.control not in same)
        or verdicts.get(case.id, _UNPROVED[0]) in _UNPROVED
    }


def check_same_target(since: Path, command: Sequence[str], own_files: str) -> None:
    """Refuse the folder of a run that tested something else: what was proved there is not proved here.

    Something else is another command line, or other content of the target's own files, of which `own_files` is the
    digest. Raises `UsageError` and `RecordError`.
    """
    header = _header_of(since)
    there, here = what_is_tested(header.command), what_is_tested(command)
    if there != here:
        raise UsageError(
            f"--since {since}: that run was of {' '.join(there) or 'the reference sender'}, and this one is of "
            f"{' '.join(here) or 'the reference sender'}: what was proved of the one is not proved of the other"
        )
    if header.own_files == own_files:
        return
    what = "the files that are laid over the target or installed into it (--config, --install, [files] of target.toml)"
    if not header.own_files:
        raise UsageError(f"--since {since}: that run does not say what {what} were; play it again")
    raise UsageError(
        f"--since {since}: {what} are not what they were in that run: what was proved with the ones is not proved with "
        "the others"
    )


def _header_of(folder: Path) -> Header:
    """Return the first line of a run's record, of which the whole is checked. Raises `RecordError`."""
    file = folder / "record.jsonl"
    try:
        written = file.stat().st_mtime_ns
    except OSError:
        written = 0  # reading it says what is wrong
    return _read_header(file, written)


@lru_cache(maxsize=1)
def _read_header(file: Path, _written: int) -> Header:
    """Read it once for all questions of a run: a record of the whole catalogue takes half a second."""
    return read_record(file).header


def left_out_since(since: Path, selected: Sequence[Case], played: Collection[str]) -> str:
    """Say how many of the selected cases are not played, since an earlier run proved them, and what that run said."""
    version, there = _header_of(since).lab_version, verdicts_before(since)
    verdicts = Counter(there[case.id] for case in selected if case.id not in played)
    if version != __version__:
        lab = f"{since} was played by mta-sts-lab {version}, and this is {__version__}"
        return f"left out: none of {len(selected)} selected cases. {lab}, whose attacks and checks may be others"
    if not verdicts:
        return f"left out: none of {len(selected)} selected cases: {since} proved none of them as they are now"
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    return (
        f"left out: {verdicts.total()} of {len(selected)} selected cases, which {since} proved ({counted}). "
        "What was changed in the mail server since then is not tested by them"
    )


def verdicts_before(folder: Path) -> dict[str, str]:
    """Return the grades of a run as they were written last, by case; none if it was never judged."""
    try:
        document = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
        return {case["id"]: case["verdict"] for case in document["cases"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def obligations_of(case: Case) -> set[str]:
    """Return the obligations that the expectations of a case name."""
    expected = [step.expect for step in case.steps if step.expect is not None]
    named = {one.obligation for one in expected} | {one.report_obligation for one in expected}
    named |= {one.policy_requests.obligation for one in expected if one.policy_requests is not None}
    return named - {""}


def _named(catalogue: Catalogue, selection: Sequence[str]) -> list[Case]:
    """Return the cases of some patterns, of which those of obligations stand for the cases that are about them."""
    patterns = [pattern for pattern in selection if _OBLIGATION.fullmatch(pattern)]
    chosen: set[str] = set()
    for pattern in patterns:
        obligations = {name for name in _requirements() if matches(pattern, name)}
        if not obligations:
            near = near_misses(pattern, _requirements())
            hint = f"did you mean {' or '.join(near)}?" if near else "`sts-lab requirements` counts what there is"
            raise NothingSelected(f"there is no requirement {pattern}; {hint}")
        about = _about(catalogue, obligations)
        if not about:
            statuses = ", ".join(sorted({_requirements()[name].status for name in obligations}))
            raise NothingSelected(f"no case is about {pattern}, whose status is {statuses}")
        chosen |= about
    names = [pattern for pattern in selection if pattern not in patterns]
    if names or not patterns:
        chosen |= {case.id for case in catalogue.find(names)}
    return [case for case in catalogue.cases.values() if case.id in chosen]


def _about(catalogue: Catalogue, obligations: Collection[str]) -> set[str]:
    """Return the cases that are about an obligation: it is in their expectations, or only in their scenario's list."""
    found: set[str] = set()
    for scenario in catalogue.scenarios:
        named = {case.id: obligations_of(case) for case in scenario.cases}
        for obligation in obligations:
            expecting = {case for case, its in named.items() if obligation in its}
            listed = obligation in scenario.requirements
            found |= expecting or ({case.id for case in scenario.cases} if listed else set())
    return found


def _refuse_unknown(what: str, given: Sequence[str], legal: Sequence[str]) -> None:
    for one in given:
        if one not in legal:
            raise UsageError(f"there is no {what} {one!r}; the {what}s are {', '.join(legal)}")


def _refuse_none(found: Sequence[Case], message: str) -> None:
    if not found:
        raise NothingSelected(message)


@cache
def _requirements() -> Mapping[str, Requirement]:
    return load_requirements()
