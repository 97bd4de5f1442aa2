"""One run as the user sees it: choose, play, judge, write everything down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mta_sts_lab.adapter_check import is_probe
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.backends.docker.engine import EngineError
from mta_sts_lab.backends.docker.folder import TargetFolder, find_target
from mta_sts_lab.catalogue import Catalogue, NothingSelected, load_catalogue
from mta_sts_lab.events import Event
from mta_sts_lab.judge import judge
from mta_sts_lab.judge.known_failures import KnownComparison, compare_with_known, read_known_failures
from mta_sts_lab.model import Case, Mode, Verdict
from mta_sts_lab.record import Record, RecordError, read_record
from mta_sts_lab.reference.flaws import FLAWS, parse_flaws
from mta_sts_lab.reports.summary import INCONCLUSIVE, Summary, summarise
from mta_sts_lab.reports.writers import JudgedRecord, write_all
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner.plan import Plan, plan_run
from mta_sts_lab.runs.leftovers import hold
from mta_sts_lab.runs.trouble import RunBroken, UsageError
from mta_sts_lab.runs.writing import (
    RunWriter,
    interruptible,
    keep_known_failures,
    kept_known_failures,
    make_folder,
    record_in,
    run_interruptibly,
)
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.targets.contract_http import unknown_told

#: The target in this process: the reference sender. Every other name is a folder with a Dockerfile.
IN_PROCESS = "reference"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user wants played, against what, and where the results go."""

    selection: tuple[str, ...]
    modes: tuple[str, ...]
    target: str
    flaws: tuple[str, ...]
    out: Path
    seed: int | None
    command: tuple[str, ...]
    #: Whether nothing but mail is asked of the target, whatever hooks it has.
    black_box: bool = False


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who looks on while a run is made."""

    planned: Callable[[Plan], None]
    event: Callable[[Event], None]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that was judged and written down."""

    record: Record
    verdicts: tuple[Verdict, ...]
    accounts: KnownComparison
    summary: Summary
    folder: Path
    document: bytes


def catalogue() -> Catalogue:
    """Return the shipped scenarios, checked. Raises `CatalogueError`."""
    return load_catalogue(shipped_files() / "scenarios", ATTACK_FORMS, load_requirements(), FLAWS)


def chosen_cases(shelf: Catalogue, selection: Sequence[str], modes: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases that are selected and have one of the modes. Raises `NothingSelected` and `UsageError`."""
    legal = [mode.value for mode in Mode]
    for mode in modes:
        if mode not in legal:
            raise UsageError(f"there is no mode {mode!r}; the modes are {', '.join(legal)}")
    found = tuple(case for case in shelf.find(selection) if not modes or case.mode.value in modes)
    if not found:
        raise NothingSelected(f"the selection has no case under {' or '.join(modes)}")
    return found


def carry_out(wish: RunRequest, watcher: Watcher) -> RunResult:
    """Play what is wished, judge it, and leave everything in a folder of the run's own.

    An interrupt ends the run and leaves a record that says it is incomplete. Raises what `runs.trouble` lists; what
    the watcher raised comes last, when everything is on disk.
    """
    shelf = catalogue()
    cases = chosen_cases(shelf, wish.selection, wish.modes)
    folder = check_target(wish)
    plan = plan_run(cases, shelf.cases, wish.command, wish.seed, black_box=wish.black_box)
    place = make_folder(wish.out, plan.run)
    with interruptible(place):
        with record_in(place) as file:
            keep_known_failures(folder.known_failures if folder else None, place)
            watcher.planned(plan)
            keeping = RunWriter(file, place / "target" / "log.txt", watcher.event)
            _play(plan, folder, frozenset(wish.flaws), place, keeping, watcher.say)
            keeping.raise_unwritten()
        try:
            finished = finish(place)
        except RecordError as error:
            raise RunBroken(str(error)) from error
    if keeping.unseen is not None:
        raise keeping.unseen
    if unknown := finished.record.header.about.unknown:
        watcher.say(f"warning: GET /about says what is not known and was ignored: {unknown_told(unknown)}")
    return finished


def check_target(wish: RunRequest) -> TargetFolder | None:
    """Return the target's folder, None for the one in this process.

    Raises `UsageError`, `UnknownFlaw`, `FolderError` and `KnownFailuresError`: what was typed cannot be played.
    """
    parse_flaws(wish.flaws)
    folder = None if wish.target == IN_PROCESS else find_target(wish.target)
    if folder is not None and wish.flaws and "LAB_FLAWS" not in folder.file.environment:
        raise UsageError(f"--flaw is for the reference sender; {folder.name} has only the flaws it has")
    if folder is not None:
        read_known_failures(folder.known_failures)
    return folder


def finish(place: Path) -> RunResult:
    """Judge the record in a run's folder and write the verdicts beside it.

    Raises `RecordError`, `KnownFailuresError` and `UsageError`.
    """
    record = read_record(place / "record.jsonl")
    hold(place)
    if any(is_probe(case.id) for case in record.header.cases):
        raise UsageError(f"{place}: the record of a target-check, which has no verdicts; repeat it with target-check")
    known = read_known_failures(kept_known_failures(place))
    requirements = load_requirements()
    verdicts = tuple(judge(record, requirements))
    accounts = compare_with_known(verdicts, known, catalogue().cases)
    if record.header.black_box:
        # A black box shows less than its target could: what is known and did not show is no news.
        accounts = replace(accounts, vanished=())
    summary = summarise(record, verdicts, accounts)
    try:
        write_all(place, JudgedRecord(record, verdicts, requirements, accounts))
        document = (place / "verdicts.json").read_bytes()
    except OSError as error:
        raise UsageError(f"{error.filename or place}: the verdicts cannot be written: {error.strerror}") from error
    return RunResult(record, verdicts, accounts, summary, place, document)


def _play(
    plan: Plan,
    folder: TargetFolder | None,
    flaws: frozenset[str],
    place: Path,
    keeping: RunWriter,
    say: Callable[[str], None],
) -> None:
    if folder is None:
        from mta_sts_lab.runner.run import run_in_process

        run_interruptibly(run_in_process(plan, place / "target" / "state", flaws, keeping.outlet()))
        return
    from mta_sts_lab.backends.docker.run import run_in_containers

    done = run_in_containers(plan, folder, flaws, keeping.outlet(), say)
    (place / "target" / "log.txt").write_text(done.target_log, encoding="utf-8")
    (place / "target" / "configuration.txt").write_text(done.target_configuration, encoding="utf-8")
    spent = f"{done.lab_seconds:.2f} {done.target_seconds:.2f} seconds of processor time: the lab, the target\n"
    (place / "target" / "processor-time.txt").write_text(spent, encoding="utf-8")
    if done.status:
        said = done.problem.removeprefix("sts-lab: ") or f"the lab's container ended with status {done.status}"
        raise (TargetError if done.status == INCONCLUSIVE else EngineError)(said)


def find_run(name: str, out: Path) -> Path:
    """Return the folder of a run, by its path or by its id. Raises `RecordError`."""
    for candidate in (Path(name), out / name):
        if _is_file(candidate / "record.jsonl"):
            return candidate
        if candidate.name == "record.jsonl" and _is_file(candidate):
            return candidate.parent
    there = sorted(path.name for path in out.glob("*/") if _is_file(path / "record.jsonl"))[-3:]
    hint = f"; the latest runs here are {', '.join(there)}" if there else f"; there are no runs in {out}/"
    raise RecordError(f"{name}: no record of a run there{hint}")


def _is_file(path: Path) -> bool:
    """Whether there is a file; a name that no file can have is the name of none."""
    try:
        return path.is_file()
    except OSError:
        return False


def verdicts_before(place: Path) -> dict[str, str]:
    """Return the verdict words of a run as they were written last, by case; none if it was never judged."""
    try:
        document = json.loads((place / "verdicts.json").read_text(encoding="utf-8"))
        return {case["id"]: case["verdict"] for case in document["cases"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
