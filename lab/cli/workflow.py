"""One run as the user sees it: choose, play, judge, write everything down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lab.attacks.registry import ATTACK_FORMS
from lab.catalogue import Catalogue, NothingSelected, load_catalogue
from lab.containers.engine import EngineError
from lab.containers.folder import TargetFolder, find_target, repository_root, shipped_targets
from lab.events import Event
from lab.judge import judge
from lab.judge.deviations import Accounts, Deviation, read_deviations, settle_accounts
from lab.model import Case, Mode, Verdict
from lab.record import Footer, Header, Record, RecordError, RecordFile, read_record
from lab.reports.junit import junit_xml
from lab.reports.summary import INCONCLUSIVE, Summary, summarise
from lab.reports.verdicts_json import encode, verdicts_document
from lab.requirements import load_requirements
from lab.runner.outlet import Outlet
from lab.runner.plan import Plan, plan_run
from lab.targets.contract import TargetError
from lab.targets.flaws import FLAWS, parse_flaws

#: The target in this process: the reference sender. Every other name is a folder with a Dockerfile.
IN_PROCESS = "reference"


class UsageError(Exception):
    """What was typed cannot be done; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants played, against what, and where the results go."""

    selection: tuple[str, ...]
    modes: tuple[str, ...]
    target: str
    flaws: tuple[str, ...]
    out: Path
    seed: int | None
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who looks on while a run is made."""

    planned: Callable[[Plan], None]
    event: Callable[[Event], None]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that was judged and written down."""

    record: Record
    verdicts: tuple[Verdict, ...]
    accounts: Accounts
    summary: Summary
    folder: Path
    document: bytes


def catalogue() -> Catalogue:
    """Return the shipped scenarios, checked. Raises `CatalogueError`."""
    return load_catalogue(repository_root() / "scenarios", ATTACK_FORMS, load_requirements(), FLAWS)


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


def carry_out(wish: Wish, watcher: Watcher) -> Finished:
    """Play what is wished, judge it, and leave everything in a folder of the run's own.

    An interrupt ends the run and leaves a record that says it is incomplete.
    """
    shelf = catalogue()
    cases = chosen_cases(shelf, wish.selection, wish.modes)
    parse_flaws(wish.flaws)
    folder = None if wish.target == IN_PROCESS else find_target(wish.target)
    if folder is not None and wish.flaws and "LAB_FLAWS" not in folder.file.environment:
        raise UsageError(f"--flaw is for the reference sender; {folder.name} has only the flaws it has")
    plan = plan_run(cases, shelf.cases, wish.command, wish.seed)
    watcher.planned(plan)
    place = wish.out / plan.run
    place.mkdir(parents=True)
    with _terminated_like_interrupted(), RecordFile(place / "record.jsonl") as file:
        _play(plan, folder, frozenset(wish.flaws), place, file, watcher)
    return finish(place, read_deviations(folder.deviations) if folder else ())


def finish(place: Path, deviations: Sequence[Deviation] = ()) -> Finished:
    """Judge the record in a run's folder and write the verdicts beside it. Raises `RecordError`."""
    record = read_record(place / "record.jsonl")
    requirements = load_requirements()
    verdicts = tuple(judge(record, requirements))
    accounts = settle_accounts(verdicts, deviations, catalogue().cases)
    summary = summarise(record, verdicts, accounts)
    document = encode(verdicts_document(record, verdicts, requirements, accounts))
    _write_whole(place / "verdicts.json", document)
    _write_whole(place / "junit.xml", junit_xml(record, verdicts, requirements))
    write_flows(place, record)
    return Finished(record, verdicts, accounts, summary, place, document)


def write_flows(place: Path, record: Record) -> None:
    """Write one .mitm file a case, to be opened with mitmweb."""
    from lab.reports.mitm import mitm_name, write_mitm

    by_case: dict[str, list[Event]] = {case.id: [] for case in record.header.cases}
    for event in record.events:
        if event.case in by_case:
            by_case[event.case].append(event)
    (place / "flows").mkdir(exist_ok=True)
    for case, events in by_case.items():
        _write_whole(place / "flows" / mitm_name(case), write_mitm(events, record.header.started))


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(content)
    draft.replace(path)


def _play(
    plan: Plan, folder: TargetFolder | None, flaws: frozenset[str], place: Path, file: RecordFile, watcher: Watcher
) -> None:
    (place / "target").mkdir()
    outlet = _outlet(file, watcher, place / "target" / "log.txt")
    if folder is None:
        from lab.runner.run import run_in_process

        asyncio.run(run_in_process(plan, place / "target" / "state", flaws, outlet))
        return
    from lab.containers.run import run_in_containers

    done = run_in_containers(plan, folder, flaws, outlet, watcher.say)
    (place / "target" / "log.txt").write_text(done.target_log, encoding="utf-8")
    (place / "target" / "configuration.txt").write_text(done.target_configuration, encoding="utf-8")
    spent = f"{done.lab_seconds:.2f} {done.target_seconds:.2f} seconds of processor time: the lab, the target\n"
    (place / "target" / "processor-time.txt").write_text(spent, encoding="utf-8")
    if done.status:
        said = done.problem.removeprefix("sts-lab: ") or f"the lab's container ended with status {done.status}"
        raise (TargetError if done.status == INCONCLUSIVE else EngineError)(said)


def _outlet(file: RecordFile, watcher: Watcher, log: Path) -> Outlet:
    def on_header(header: Header) -> None:
        file.header(header)

    def on_event(event: Event) -> None:
        file.event(event)
        watcher.event(event)

    def on_footer(footer: Footer) -> None:
        file.footer(footer)

    return Outlet(on_header, on_event, on_footer, lambda text: _write_whole(log, text.encode()))


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does: a CI job that is cancelled must leave nothing behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def find_run(name: str, out: Path) -> Path:
    """Return the folder of a run, by its path or by its id. Raises `RecordError`."""
    for candidate in (Path(name), out / name):
        if (candidate / "record.jsonl").is_file():
            return candidate
        if candidate.name == "record.jsonl" and candidate.is_file():
            return candidate.parent
    there = sorted(path.name for path in out.glob("*/") if (path / "record.jsonl").is_file())[-3:]
    hint = f"; the latest runs here are {', '.join(there)}" if there else f"; there are no runs in {out}/"
    raise RecordError(f"{name}: no record of a run there{hint}")


def verdicts_before(place: Path) -> dict[str, str]:
    """Return the verdict words of a run as they were written last, by case; none if it was never judged."""
    try:
        document = json.loads((place / "verdicts.json").read_text(encoding="utf-8"))
        return {case["id"]: case["verdict"] for case in document["cases"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def known_deviations_of(place: Path) -> tuple[Deviation, ...]:
    """Return what is known of the target of a run, where the target is one of ours."""
    folder = shipped_targets().get(read_record(place / "record.jsonl").header.target.get("name", ""))
    return read_deviations(folder.deviations) if folder else ()
