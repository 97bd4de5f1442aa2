"""Finds, reads and checks target folders: those that come with the lab by name, any other by path."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from mta_sts_lab.backends.registry import Built, TargetRefused, backend_names, find_backend
from mta_sts_lab.backends.target_folder import Contract, Process, TargetFile, TargetFolder
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.injection import Inject


class FolderError(TargetRefused):
    """A target folder that is missing or wrong. The message says which file, what, and what would be right."""


def shipped_targets() -> dict[str, TargetFolder]:
    """Return the targets that come with the lab, by name: first those that need no folder."""
    files = sorted((shipped_files() / "docker").glob("*/target.toml"))
    targets = [target for name in backend_names() for target in find_backend(name).shipped()]
    targets += [read_folder(file.parent) for file in files]
    return {target.name: target for target in targets}


def build_shipped(say: Callable[[str], None]) -> list[Built]:
    """Build the images of all shipped targets. Raises `BackendError` if none can be built."""
    targets = list(shipped_targets().values())
    return [
        built
        for name in backend_names()
        for built in find_backend(name).build([one for one in targets if one.file.backend == name], say)
    ]


def find_target(name: str) -> TargetFolder:
    """Return a shipped target by name, or any folder by path. Raises `FolderError`, with near misses.

    A folder of one's own has a name of its own: its image is called after it, and so is its column in the matrix.
    """
    if "/" in name or name.startswith("."):
        folder = read_folder(Path(name))
        return folder if folder.shipped else _ones_own(folder)
    shipped = shipped_targets()
    if name in shipped:
        return shipped[name]
    near = difflib.get_close_matches(name, shipped, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(sorted(shipped))}"
    raise FolderError(f"no target is called {name!r}; {hint} (a folder of your own is given as a path: ./my-mta)")


def read_folder(path: Path) -> TargetFolder:
    """Read a target folder. Raises `FolderError`."""
    file = path / "target.toml"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        target = msgspec.convert(document, TargetFile)
        folder = TargetFolder(path, replace(target, backend="process") if target.process else target)
    except OSError as error:
        raise FolderError(
            f"{file}: cannot be read: {error.strerror}; "
            "a target's folder has a file target.toml (docs/adding-an-mta.md describes it)"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise FolderError(f"{file}: {error}; legal keys are {_legal_keys()}") from error
    if folder.file.backend not in backend_names():
        there = ", ".join(backend_names())
        raise FolderError(f"{file}: there is no backend {folder.file.backend!r}; there are {there}")
    return folder


def _ones_own(folder: TargetFolder) -> TargetFolder:
    """Check a folder that did not come with the lab: its name must be unique, and have what its backend needs."""
    file = folder.path / "target.toml"
    taken = {path.name for path in (shipped_files() / "docker").iterdir()} | shipped_targets().keys()
    if folder.name in taken:
        raise FolderError(
            f"{file}: the name {folder.name!r} is one that comes with the lab, and nobody could tell the two apart; "
            f'choose another one (name = "my-{folder.name}"), in the hook `about`, too'
        )
    if lacking := find_backend(folder.file.backend).lacks(folder):
        raise FolderError(lacking)
    return folder


def _legal_keys() -> str:
    tables = {"inject": Inject, "contract": Contract, "process": Process}
    inside = [f"in [{name}] {', '.join(table.__struct_fields__)}" for name, table in tables.items()]
    return "; ".join([", ".join(TargetFile.__struct_fields__), *inside])
