"""Joins the folders of several runs of the same target, each with other cases, into the folder of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.events import CaseBegan
from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Part, Record, RecordFile, read_record
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.service import RunResult, judge_run
from mta_sts_lab.runs.writing import make_folder
from mta_sts_lab.whole_files import write_whole

_LAB = "mta-sts-lab"


def merge(folders: Sequence[Path], into: Path, catalogue: Catalogue | None = None) -> RunResult:
    """Join the folders of runs into a new one: one record, judged again, with everything that a run leaves.

    A control case may be in several runs; each run is judged with its own. Raises `UsageError` where the runs are not
    of the same target, lab version and known failures, or where a case was selected in two of them, and `RecordError`.
    """
    records = [read_record(folder / "record.jsonl") for folder in folders]
    _refuse_what_differs(folders, records)
    _refuse_repeated_cases(folders, records)
    folder = make_folder(into.parent, into.name)
    try:
        _write_record(folder, records)
        _join_target_files(folder, folders)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return judge_run(folder, catalogue)


def _refuse_what_differs(folders: Sequence[Path], records: Sequence[Record]) -> None:
    if not records:
        raise UsageError("no runs were given to merge")
    for folder, record in zip(folders, records, strict=True):
        pairs = {
            "the lab": (record.header.versions.get(_LAB, "?"), records[0].header.versions.get(_LAB, "?")),
            "the target": (_target(record.header), _target(records[0].header)),
        }
        for what, (here, there) in pairs.items():
            if here != there:
                raise UsageError(f"{folder}: {what} is not the same as in {folders[0]} ({here} and {there})")
        if _known(folder) != _known(folders[0]):
            raise UsageError(f"{folder}: the known failures are not the same as in {folders[0]}")


def _target(header: Header) -> str:
    versions = " ".join(f"{part} {version}" for part, version in sorted(header.about.versions.items()))
    asked = " as a black box" if header.black_box else ""
    return f"{header.about.name} {versions} {','.join(header.about.capabilities)}{asked}"


def _known(folder: Path) -> bytes:
    file = known_failures_file(folder / "target")
    return file.read_bytes() if file.exists() else b""


def _refuse_repeated_cases(folders: Sequence[Path], records: Sequence[Record]) -> None:
    seen: dict[str, Path] = {}
    for folder, record in zip(folders, records, strict=True):
        control_only = {
            event.case for event in record.events if isinstance(event.fact, CaseBegan) and event.fact.control_only
        }
        for case in record.header.cases:
            if case.id not in control_only and seen.setdefault(case.id, folder) is not folder:
                raise UsageError(
                    f"{folder}: {case.id} was selected in {seen[case.id]}, too; each case may be in one run"
                )


def _write_record(folder: Path, records: Sequence[Record]) -> None:
    """Write the events of all runs one after the other, numbered anew."""
    runs = [run for record in records for run in record.runs()]
    first = records[0].header
    cases = {case.id: case for record in records for case in record.header.cases}
    header = msgspec.structs.replace(
        first,
        run=folder.name,
        started=min(record.header.started for record in records),
        cases=tuple(cases.values()),
        parts=tuple(Part(run.header, len(run.events)) for run in runs),
    )
    kinds: Counter[str] = Counter()
    with RecordFile(folder / "record.jsonl") as file:
        file.header(header)
        for number, event in enumerate((event for run in runs for event in run.events), start=1):
            file.event(msgspec.structs.replace(event, number=number))
            kinds[type(event.fact).__name__] += 1
        complete = all(record.footer.complete for record in records)
        file.footer(Footer(RECORD_VERSION, kinds.total(), complete, dict(kinds)))


def _join_target_files(folder: Path, folders: Sequence[Path]) -> None:
    """Copy the known failures, and join the text files of the targets (their logs) by name."""
    known = known_failures_file(folders[0] / "target")
    if known.exists():
        write_whole(folder / "target" / known.name, known.read_bytes())
    texts: dict[str, list[str]] = {}
    for one in folders:
        for file in sorted((one / "target").glob("*.txt")):
            text = file.read_text(encoding="utf-8", errors="replace")
            texts.setdefault(file.name, []).append(f"--- {one.name}\n{text}")
    for name, parts in texts.items():
        write_whole(folder / "target" / name, "\n".join(parts).encode())
