"""Writes the records and the target files of several runs into those of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Part, Record, RecordFile
from mta_sts_lab.reports.target_log import heading
from mta_sts_lab.whole_files import write_whole


def write_joined(file: RecordFile, records: Sequence[Record], header: Header, *, complete: bool) -> None:
    """Write the events of several records into one, one record after the other, numbered anew."""
    runs = [run for record in records for run in record.runs()]
    parts = tuple(Part(run.header, len(run.events)) for run in runs)
    kinds: Counter[str] = Counter()
    file.header(msgspec.structs.replace(header, parts=parts))
    for number, event in enumerate((event for run in runs for event in run.events), start=1):
        file.event(msgspec.structs.replace(event, number=number))
        kinds[type(event.fact).__name__] += 1
    complete = complete and all(record.footer.complete for record in records)
    file.footer(Footer(RECORD_VERSION, kinds.total(), complete, dict(kinds)))


def join_target_files(folder: Path, runs: Mapping[str, Path]) -> None:
    """Copy the known failures, and join the text files of the targets (their logs) by name, each behind its run's."""
    known = known_failures_file(next(iter(runs.values())) / "target")
    if known.exists() and not known_failures_file(folder / "target").exists():
        write_whole(folder / "target" / known.name, known.read_bytes())
    texts: dict[str, list[str]] = {}
    for run, one in runs.items():
        for file in sorted((one / "target").glob("*.txt")):
            text = file.read_text(encoding="utf-8", errors="replace")
            texts.setdefault(file.name, []).append(f"{heading(run)}\n{text}")
    for name, parts in texts.items():
        write_whole(folder / "target" / name, "\n".join(parts).encode())
