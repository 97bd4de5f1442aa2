"""Checks the adapter of one target, without any attack, and writes record and findings into a folder of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.adapter_check import Finding, Status, judge_adapter
from mta_sts_lab.adapter_check.page import adapter_document, encoded
from mta_sts_lab.backends.registry import Job, find_backend
from mta_sts_lab.record import Record, RecordError
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.writers import write_files
from mta_sts_lab.reports.writers.mitm import flow_files
from mta_sts_lab.runner.plan import plan_check
from mta_sts_lab.runs.errors import RunBroken, UsageError
from mta_sts_lab.runs.service import RunRequest, find_target_for
from mta_sts_lab.runs.watching import Watcher, Watching
from mta_sts_lab.runs.writing import RunWriter, interruptible, make_folder, record_in
from mta_sts_lab.whole_files import write_whole

CONTAINER, COMMAND = "container", "command"

_CONTAINER_ENDED = (
    "The container's first process must stay up as long as the mail server is to run, also when that is restarted "
    "(docker/common/supervisor.py does it). What it said is in target/log.txt of the run's folder. Linux capabilities "
    "are dropped unless `capabilities_needed` in target.toml lists them."
)
_COMMAND_ENDED = (
    "The command, or a process that it leaves behind, must stay up. What it said is in target/log.txt of the run's "
    "folder. A program that needs root, or changes users, is run with sudo."
)

#: How many of the last lines of a container's output are quoted.
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class AdapterResult:
    """The findings of an adapter check, its folder, and the findings as JSON."""

    findings: tuple[Finding, ...]
    folder: Path
    document: str


def check_adapter(request: RunRequest, watcher: Watcher) -> AdapterResult:
    """Check the adapter of a request's target. Raises the errors of `mta_sts_lab.runs.errors`."""
    target, watching = find_target_for(request), Watching(watcher)
    plan = plan_check(request.command, request.seed)
    folder = make_folder(request.out, plan.run)
    with interruptible(folder), record_in(folder) as file:
        writer = RunWriter(file, folder / "target", watching.event)
        job = Job(plan, target, writer.outlet(), folder / "target", frozenset(request.flaws), watcher.say)
        ended = find_backend(target.file.backend).play(job)
        writer.raise_unwritten()
    record = _record(folder) if (folder / "record.jsonl").exists() else None
    findings = (*_how_it_ran(ended, target.file.backend), *(judge_adapter(record) if record else ()))
    document = encoded(adapter_document(record.header if record else None, findings, folder))
    try:
        if record is not None:
            write_files(folder, flow_files(record))
        write_whole(folder / "adapter.json", document.encode("ascii"))
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    watching.raise_failed()
    return AdapterResult(findings, folder, document)


def _record(folder: Path) -> Record:
    try:
        return read_record(folder / "record.jsonl")
    except RecordError as error:
        raise RunBroken(str(error)) from error


def _how_it_ran(ended: str | None, backend: str) -> tuple[Finding, ...]:
    """Return a finding on whether the container or command stayed up; none for the built-in sender."""
    if ended is None:
        return ()
    part, remedy = (COMMAND, _COMMAND_ENDED) if backend == "process" else (CONTAINER, _CONTAINER_ENDED)
    if not ended:
        return (Finding(part, Status.OK, "came up and stayed up"),)
    how, *lines = ended.splitlines()
    return (Finding(part, Status.FAULT, " / ".join([how, *lines[-_LAST_LINES:]]), f"{part}-ended", remedy),)
