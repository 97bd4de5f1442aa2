"""Where the files are that come with the lab beside its code: scenarios, targets, exercises, documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_PACKAGE = Path(__file__).resolve().parent
_DATA = _PACKAGE / "_data"


def shipped_files() -> Path:
    """Return the folder with `scenarios/`, `docker/`, `exercises/` and `docs/`: package data, or the checkout."""
    return _DATA if _DATA.is_dir() else _PACKAGE.parent.parent


def source_files(part: str) -> Iterator[tuple[str, Path]]:
    """Yield what belongs to a part of the source tree: the path that it has in a checkout, and where it is here.

    `part` is a file or folder relative to a checkout's root. What is yielded is the same for an installed package.
    """
    if part != "lab":
        here = shipped_files() / part
        yield from below(here, part) if here.is_dir() else [(part, here)]
        return
    for name, path in below(_PACKAGE, "lab/mta_sts_lab"):
        if not path.is_relative_to(_DATA):
            yield name, path


def below(folder: Path, name: str = "") -> Iterator[tuple[str, Path]]:
    """Yield all that a folder holds, in a fixed order and without compiled Python: its path in `name`, and on disk."""
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield str(PurePosixPath(name, path.relative_to(folder))), path
