"""`sts-lab target-check`: one adapter, checked in a small honest world of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.adapter_check import Finding, Word, judge_adapter
from mta_sts_lab.adapter_check.page import adapter_document, encoded
from mta_sts_lab.backends.docker.folder import TargetFolder, find_target
from mta_sts_lab.events import Event
from mta_sts_lab.record import Record, RecordError, read_record
from mta_sts_lab.reference.flaws import parse_flaws
from mta_sts_lab.reports.writers import write_files
from mta_sts_lab.reports.writers.mitm import flow_files
from mta_sts_lab.runner.plan import Plan, plan_check
from mta_sts_lab.runs.trouble import RunBroken, UsageError
from mta_sts_lab.runs.workflow import IN_PROCESS
from mta_sts_lab.runs.writing import RunWriter, interruptible, make_folder, record_in, run_interruptibly
from mta_sts_lab.whole_files import write_whole

CONTAINER = "container"

#: Lines that are quoted of what a container said last.
_LAST_WORDS = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that came to its end, and what was written down of it."""

    findings: tuple[Finding, ...]
    folder: Path
    document: str


@dataclass(frozen=True, slots=True)
class Onlooker:
    """Who looks on while a check is made."""

    event: Callable[[Event], None]
    say: Callable[[str], None]


def check_target(
    target: str, flaws: Sequence[str], out: Path, seed: int | None, command: tuple[str, ...], onlooker: Onlooker
) -> Checked:
    """Check a target's adapter and leave everything in a folder. Raises what `mta_sts_lab.runs.trouble` lists."""
    parse_flaws(flaws)
    folder = None if target == IN_PROCESS else find_target(target)
    if folder is not None and flaws and "LAB_FLAWS" not in folder.file.environment:
        raise UsageError(f"--flaw is for the reference sender; {folder.name} has only the flaws it has")
    plan = plan_check(command, seed)
    place = make_folder(out, plan.run)
    with interruptible(place), record_in(place) as file:
        keeping = RunWriter(file, place / "target" / "log.txt", onlooker.event)
        container = _play(plan, folder, frozenset(flaws), place, keeping, onlooker.say)
        keeping.raise_unwritten()
    record = _record(place) if (place / "record.jsonl").exists() else None
    findings = (*container, *(judge_adapter(record) if record else ()))
    document = encoded(adapter_document(record.header if record else None, findings, place))
    try:
        if record is not None:
            write_files(place, flow_files(record))
        write_whole(place / "adapter.json", document.encode("ascii"))
    except OSError as error:
        raise UsageError(f"{error.filename or place}: cannot be written: {error.strerror}") from error
    if keeping.unseen is not None:
        raise keeping.unseen
    return Checked(findings, place, document)


def _record(place: Path) -> Record:
    try:
        return read_record(place / "record.jsonl")
    except RecordError as error:
        raise RunBroken(str(error)) from error


def _play(
    plan: Plan,
    folder: TargetFolder | None,
    flaws: frozenset[str],
    place: Path,
    keeping: RunWriter,
    say: Callable[[str], None],
) -> tuple[Finding, ...]:
    """Play the check; return what is to be said of the container, if there is one."""
    if folder is None:
        from mta_sts_lab.runner.run import check_in_process

        run_interruptibly(check_in_process(plan, place / "target" / "state", flaws, keeping.outlet()))
        return ()
    from mta_sts_lab.backends.docker.engine import EngineError
    from mta_sts_lab.backends.docker.run import TARGET_TROUBLE, run_in_containers

    done = run_in_containers(plan, folder, flaws, keeping.outlet(), say)
    (place / "target" / "log.txt").write_text(done.target_log, encoding="utf-8")
    (place / "target" / "configuration.txt").write_text(done.target_configuration, encoding="utf-8")
    if done.status and (done.status != TARGET_TROUBLE or not done.target_ended):
        said = done.problem.removeprefix("sts-lab: ") or f"the lab's container ended with status {done.status}"
        raise EngineError(said)
    return (_container(done.target_ended),)


def _container(ended: str) -> Finding:
    if not ended:
        return Finding(CONTAINER, Word.OK, "came up and stayed up")
    how, *words = ended.splitlines()
    return Finding(
        CONTAINER,
        Word.FAULT,
        " / ".join([how, *words[-_LAST_WORDS:]]),
        "container-ended",
        "The container's first process must stay up as long as the mail server is to run, also when that is restarted "
        "(docker/common/supervisor.py does it). What it said is in target/log.txt of the run's folder. Linux "
        "capabilities are dropped unless `capabilities_needed` in target.toml lists them.",
    )
