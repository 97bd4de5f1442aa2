"""Joins the folders of several runs of the same target, each with other cases, into the folder of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.events import CaseBegan
from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.record import Header, Record, RecordFile, Shard
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.command_line import what_is_tested
from mta_sts_lab.runs.captures import join_captures
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.joining import join_target_files, write_joined
from mta_sts_lab.runs.service import RunResult, judge_run
from mta_sts_lab.runs.writing import make_folder


def merge(
    folders: Sequence[Path], into: Path, catalogue: Catalogue | None = None, *, partial: bool = False
) -> RunResult:
    """Join the folders of runs into a new one: one record, judged again, with everything that a run leaves.

    A control case may be in several runs; each run is judged with its own. With `partial` a shard may be missing, and
    the run is then marked as incomplete. Raises `UsageError` where the runs are not of the same target with the
    same files, lab version, catalogue and known failures, where a case was selected in two of them, or where a shard is
    missing; `RecordError`.
    """
    records = [read_record(folder / "record.jsonl") for folder in folders]
    _refuse_what_differs(folders, records)
    whole = _check_shards(folders, records, partial)
    _refuse_repeated_cases(folders, records)
    folder = make_folder(into.parent, into.name)
    try:
        with RecordFile(folder / "record.jsonl") as file:
            write_joined(file, records, _header(folder.name, records), complete=whole)
        join_target_files(folder, {one.header.run: place for one, place in zip(records, folders, strict=True)})
        join_captures(folder, folders)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return judge_run(folder, catalogue)


def _refuse_what_differs(folders: Sequence[Path], records: Sequence[Record]) -> None:
    if not records:
        raise UsageError("no runs were given to merge")
    for folder, record in zip(folders, records, strict=True):
        pairs = {
            "the lab": (record.header.lab_version, records[0].header.lab_version),
            "the families of the world": (record.header.families, records[0].header.families),
            "the catalogue": (record.header.catalogue[:12], records[0].header.catalogue[:12]),
            "the target": (record.header.about.name, records[0].header.about.name),
            "the version of the target": (_versions(record.header), _versions(records[0].header)),
            "what the target says that it does": (_claims(record.header), _claims(records[0].header)),
            "what is tested": (_tested(record), _tested(records[0])),
        }
        for what, (here, there) in pairs.items():
            if here != there:
                raise UsageError(f"{folder}: {what} is not the same as in {folders[0]} ({here} and {there})")
        if record.header.own_files != records[0].header.own_files:
            what = "the files that were laid over the target or installed into it"
            raise UsageError(f"{folder}: {what} are not the same as in {folders[0]}")
        if _known(folder) != _known(folders[0]):
            raise UsageError(f"{folder}: the known failures are not the same as in {folders[0]}")


def _versions(header: Header) -> str:
    return ", ".join(f"{part} {version}" for part, version in sorted(header.about.versions.items())) or "none"


def _claims(header: Header) -> str:
    claims = ", ".join(header.about.capabilities) or "nothing"
    return f"{claims}{', played as a black box' if header.black_box else ''}"


def _tested(record: Record) -> str:
    """Return the options that say what is tested: the name of a target does not tell a configuration laid over it."""
    return " ".join(what_is_tested(record.header.command)) or "the reference sender"


def _known(folder: Path) -> bytes:
    file = known_failures_file(folder / "target")
    return file.read_bytes() if file.exists() else b""


def _check_shards(folders: Sequence[Path], records: Sequence[Record], partial: bool) -> bool:
    """Return whether all shards are there. Raises `UsageError` for shards that do not belong together."""
    found = [
        (folder, run.header.shard)
        for folder, record in zip(folders, records, strict=True)
        for run in record.runs()
        if run.header.shard is not None
    ]
    if not found:
        return True
    numbers = _numbers(found)
    first = found[0][1]
    missing = [f"{number}/{first.total}" for number in range(1, first.filled + 1) if number not in numbers]
    if missing and not partial:
        raise UsageError(
            f"shard {', '.join(missing)} is missing: give its run as well, or merge what is there with --partial"
        )
    if not missing and _selected(records) < first.cases:
        raise UsageError(
            f"the shards come to {_selected(records)} of {first.cases} cases: they were not divided by the same --times"
        )
    return not missing


def _numbers(found: Sequence[tuple[Path, Shard]]) -> dict[int, Path]:
    """Return the folder of each shard. Raises `UsageError` if they are not of one selection, or one is there twice."""
    first_folder, first = found[0]
    numbers: dict[int, Path] = {}
    for folder, shard in found:
        if shard.digest != first.digest:
            raise UsageError(f"{folder}: a shard of another selection than {first_folder}")
        if shard.total != first.total:
            raise UsageError(
                f"{folder}: a shard of {shard.total}, and {first_folder} is one of {first.total}: cases may be missing"
            )
        # The shards that were played beside each other by one run have one number.
        if numbers.setdefault(shard.number, folder) != folder:
            raise UsageError(f"{folder}: shard {shard.number}/{shard.total} is in {numbers[shard.number]} already")
    return numbers


def _selected(records: Sequence[Record]) -> int:
    """Return how many cases were selected in one of the shards: another one may have played them for others alone."""
    return len({case for record in records for case in {one.id for one in record.header.cases} - _control_only(record)})


def _control_only(record: Record) -> set[str]:
    """Return the cases that were only played as control cases of others, in whichever part of a record."""
    begun = {(event.case, event.fact.control_only) for event in record.events if isinstance(event.fact, CaseBegan)}
    return {case for case, control_only in begun if control_only and (case, False) not in begun}


def _refuse_repeated_cases(folders: Sequence[Path], records: Sequence[Record]) -> None:
    seen: dict[str, Path] = {}
    for folder, record in zip(folders, records, strict=True):
        control_only = _control_only(record)
        for case in record.header.cases:
            if case.id not in control_only and seen.setdefault(case.id, folder) is not folder:
                raise UsageError(
                    f"{folder}: {case.id} was selected in {seen[case.id]}, too; each case may be in one run"
                )


def _header(run: str, records: Sequence[Record]) -> Header:
    cases = {case.id: case for record in records for case in record.header.cases}
    return msgspec.structs.replace(
        records[0].header,
        run=run,
        started=min(record.header.started for record in records),
        cases=tuple(cases.values()),
        shard=None,
    )
