"""Reads the verdicts of several runs, puts them into one table, and writes that as an HTML page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mta_sts_lab.adapter_check.probes import has_probes
from mta_sts_lab.record import Record, RecordError
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.matrix.table import Matrix, matrix_of
from mta_sts_lab.reports.verdicts_reading import JudgedRun, VerdictsError, read_verdicts
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.service import find_run
from mta_sts_lab.runs.writing import target_log
from mta_sts_lab.whole_files import write_whole


@dataclass(frozen=True, slots=True)
class JudgedFolder:
    """The folder of a run and its verdicts."""

    folder: Path
    judged: JudgedRun


def find_runs(names: Sequence[str], out: Path, say: Callable[[str], None] = lambda _: None) -> tuple[JudgedFolder, ...]:
    """Return the runs by their folders or ids; a folder that is named twice counts once.

    Checks of adapters, and runs that did not begin, are left out, which `say` is told: `runs/*` has them, too. Raises
    `UsageError` with a line for each that cannot be used, or if all are left out.
    """
    found: dict[str, JudgedFolder] = {}
    wrong: list[str] = []
    left_out: list[str] = []
    for name in names:
        if why := next(filter(None, map(_why_left_out, (Path(name), out / name))), ""):
            left_out.append(f"{name}: {why}")
            continue
        try:
            run = _run_in(find_run(name, out))
        except (RecordError, VerdictsError) as error:
            wrong.append(str(error))
            continue
        twin = found.setdefault(run.judged.run, run)
        if twin.folder.resolve() != run.folder.resolve():
            wrong.append(f"{run.folder}: the same run as {twin.folder}; give one of them")
    if wrong or not found:
        raise UsageError("\n  ".join([*wrong, *left_out]))
    for line in left_out:
        say(f"left out: {line}")
    return tuple(found.values())


def _why_left_out(folder: Path) -> str:
    """Say why a folder among those of runs never has verdicts; empty if it may have some."""
    record = folder / "record.jsonl"
    try:
        if (folder / "target").is_dir() and not record.exists():
            return "no run; it did not begin"
        if not record.exists() or (folder / "verdicts.json").exists():
            return ""
        cases = read_record(record).header.cases
    except (OSError, RecordError):
        return ""  # a name that is too long for a file, or a record that is said to be broken elsewhere
    return "a target-check, which has no verdicts" if has_probes(cases) else ""


def table_of(runs: Iterable[JudgedFolder]) -> Matrix:
    """Return the table of some runs, a column for each."""
    return matrix_of([run.judged for run in runs])


def write_page(path: Path, matrix: Matrix, runs: Iterable[JudgedFolder]) -> None:
    """Write the HTML page; a failed write leaves no part of it. Raises `UsageError`."""
    from mta_sts_lab.reports.matrix.evidence import Source, evidence_of
    from mta_sts_lab.reports.matrix.page import matrix_html
    from mta_sts_lab.requirements import load_requirements

    folders = {run.judged.run: run.folder for run in runs}

    def evidence(number: int) -> Iterable[tuple[str, Mapping[str, Any]]]:
        judged = matrix.columns[number].run
        folder = folders[judged.run]
        return evidence_of(Source(judged, _record(folder, judged), target_log(folder), folder))

    try:
        write_whole(path, matrix_html(matrix, evidence, load_requirements()).encode())
    except OSError as error:
        raise UsageError(f"--html {path}: cannot be written: {error.strerror}") from error


def _run_in(folder: Path) -> JudgedFolder:
    judged = read_verdicts(folder / "verdicts.json")
    _record(folder, judged)
    return JudgedFolder(folder, judged)


def _record(folder: Path, judged: JudgedRun) -> Record:
    """Read the record of the verdicts. Raises `RecordError`, and `VerdictsError` if it is of another run."""
    record = read_record(folder / "record.jsonl")
    cases = {case.id for case in record.header.cases}
    if record.header.run != judged.run or not cases.issuperset(verdict.case for verdict in judged.verdicts):
        raise VerdictsError(
            f"{folder}: verdicts.json is not about this record ({record.header.run}); "
            f"`sts-lab judge {folder}` writes it anew"
        )
    return record
