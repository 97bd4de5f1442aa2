"""Finds and removes what killed runs left on disk.

Each run locks its folder (`flock`), and the kernel releases the lock when the process ends: a folder without a lock
belongs to no running process. An interrupted run marks its record as incomplete and keeps its folder. A killed run
leaves a record without a footer, from which nothing can be concluded.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from mta_sts_lab.backends.registry import backend_names, find_backend

try:
    import fcntl
except ImportError:  # not on Windows: nothing is locked there, and nothing is removed
    fcntl = None  # type: ignore[assignment]

#: What a run is called.
_RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")

#: The beginning of the last line of a record that was brought to its end.
_FOOTER = b'{"footer":'


def hold(place: Path) -> None:
    """Lock a folder until this process ends, so that `clean` leaves it alone. Raises `OSError`."""
    if fcntl is not None:
        # Never closed: the lock ends with the process, and a process makes few runs.
        fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_SH)


def clean_everything(out: Path, living_too: bool) -> Iterator[str]:
    """Remove what killed runs left on disk and in the backends; yield a line for each.

    With `living_too` the backends also remove what belongs to runs that are still going.
    """
    yield from clean_runs(out)
    for name in backend_names():
        yield from find_backend(name).clean(living_too)


def clean_runs(out: Path) -> Iterator[str]:
    """Remove what killed runs left in the folder of all runs; yield a line for each.

    A folder whose record was cut short is removed, and so are half-written files beside a complete record. Folders
    that a running process has locked, and folders that are not of a run, are left alone.
    """
    if fcntl is None:
        return
    for place in sorted(out.glob("*/")):
        if _is_a_runs(place) and _abandoned(place):
            yield from _clean(place)


def _is_a_runs(place: Path) -> bool:
    """Whether a folder is that of a run: it has a subfolder `target`, or has the name of a run and is empty."""
    return (place / "target").is_dir() or (bool(_RUN.fullmatch(place.name)) and not any(place.iterdir()))


def _abandoned(place: Path) -> bool:
    """Whether no running process has locked a folder."""
    try:
        descriptor = os.open(place, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _clean(place: Path) -> Iterator[str]:
    if _cut_short(place / "record.jsonl"):
        shutil.rmtree(place, ignore_errors=True)
        yield f"removed {place}/, a run that was killed: its record is incomplete, and proves nothing"
        return
    for draft in sorted(place.rglob("*.part")):
        draft.unlink(missing_ok=True)
        yield f"removed {draft}, half written"


def _cut_short(record: Path) -> bool:
    """Whether a record has no footer. A run that never began leaves only the target's log, which is kept."""
    try:
        lines = record.read_bytes().splitlines()
    except OSError:
        target = record.parent / "target"
        return not target.is_dir() or not any(target.iterdir())
    return not lines or not lines[-1].startswith(_FOOTER)
