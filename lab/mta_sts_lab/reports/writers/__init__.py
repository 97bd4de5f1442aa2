"""The writers of what a judged run leaves on disk beside its record: one file of this folder for each format.

A writer is a function with the decorator `@writer`. It gets the judged run and yields files. Every module of this
package is imported before the first run is written, so a new format is one new file here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.whole_files import write_whole


@dataclass(frozen=True, slots=True)
class JudgedRecord:
    """The record of a run and what the judge made of it: all that a writer may know."""

    record: Record
    verdicts: Sequence[Verdict]
    requirements: Mapping[str, Requirement]
    #: How the findings compare with the known failures of the target; None where none were looked up.
    known: KnownComparison | None = None
    #: The target's log; empty if there is none.
    log: str = ""


#: Yields each file as its path inside the run's folder and its content.
Writer = Callable[[JudgedRecord], Iterator[tuple[str, bytes]]]

_WRITERS: dict[str, Writer] = {}


def writer(function: Writer) -> Writer:
    """Register a writer under its own name. Raises `ValueError` for a name that is taken by another module."""
    name = function.__name__
    if name in _WRITERS and _WRITERS[name].__module__ != function.__module__:
        raise ValueError(f"the writer {name} is defined twice: in {_WRITERS[name].__module__}, {function.__module__}")
    _WRITERS[name] = function
    return function


def writers() -> dict[str, Writer]:
    """Return every writer by its name. `verdicts_json` is the last: its file says that the run has been judged."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(_WRITERS.items(), key=lambda item: (item[0] == "verdicts_json", item[0])))


def write_all(folder: Path, judged: JudgedRecord, written: Collection[str] = ()) -> None:
    """Write the files of every writer into the folder of a run, but for those of the writers that have `written`.

    Raises `OSError`, and what the first writer that failed raised, but only after the others have written theirs.
    """
    failed: list[Exception] = []
    for name, write in writers().items():
        if name in written:
            continue
        try:
            write_files(folder, write(judged))
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)
    if failed:
        raise failed[0]


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write some files, given by their paths inside a folder. Raises `OSError`."""
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
