"""What killed runs left on disk: found by a lock that the kernel takes away from a process that dies, however it dies.

A run that was interrupted has marked its record as incomplete, and keeps its folder. One that was killed could not: its
record has no footer, nothing may be concluded from it, and nothing reads it.
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
except ImportError:  # not on Windows: there nothing is held, and nothing is removed
    fcntl = None  # type: ignore[assignment]

#: What a run is called.
_RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")

#: The beginning of the last line of a record that was brought to its end.
_FOOTER = b'{"footer":'


def hold(place: Path) -> None:
    """Hold a folder for as long as this process lives: it is being worked in. Raises `OSError`."""
    if fcntl is not None:
        # Never closed: the lock goes with the process, and a process makes few runs.
        fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_SH)


def clean_everything(out: Path, living_too: bool) -> Iterator[str]:
    """Remove what killed runs left on disk and in the backends, there also of living runs; yield a line for each."""
    yield from clean_runs(out)
    for name in backend_names():
        yield from find_backend(name).clean(living_too)


def clean_runs(out: Path) -> Iterator[str]:
    """Remove what killed runs left in the folder of all runs, and say what that was, a line each.

    Those are their folders, when the record in them was cut short, and half-written files beside a record that is
    whole. What a living process holds is left alone, and so is everything that no run of ours has made.
    """
    if fcntl is None:
        return
    for place in sorted(out.glob("*/")):
        if _is_a_runs(place) and _abandoned(place):
            yield from _clean(place)


def _is_a_runs(place: Path) -> bool:
    """Whether a folder was made for a run: it has one for the target, or nothing at all if that was killed so soon."""
    return (place / "target").is_dir() or (bool(_RUN.fullmatch(place.name)) and not any(place.iterdir()))


def _abandoned(place: Path) -> bool:
    """Whether no living process works in a folder."""
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
        yield f"removed {place}/, a run that was killed: its record was cut short, and proves nothing"
        return
    for draft in sorted(place.rglob("*.part")):
        draft.unlink(missing_ok=True)
        yield f"removed {draft}, half written"


def _cut_short(record: Path) -> bool:
    """Whether a record was begun and not brought to its end. A run that never began leaves only a log, on purpose."""
    try:
        lines = record.read_bytes().splitlines()
    except OSError:
        target = record.parent / "target"
        return not target.is_dir() or not any(target.iterdir())
    return not lines or not lines[-1].startswith(_FOOTER)
