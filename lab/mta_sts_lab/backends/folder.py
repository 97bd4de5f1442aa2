"""Finds, reads and checks target folders: those that come with the lab by name, any other by path."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from mta_sts_lab.backends.overlay import (
    OverlayRules,
    bounded,
    installed_by,
    laid_at,
    laid_by,
    read_rules,
    rules_if_any,
)
from mta_sts_lab.backends.registry import Built, TargetRefused, backend_names, find_backend
from mta_sts_lab.backends.target_folder import Contract, Process, TargetFile, TargetFolder
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.injection import Inject


class FolderError(TargetRefused):
    """A target folder that is missing or wrong. The message says which file, what, and what would be right."""


def shipped_targets() -> dict[str, TargetFolder]:
    """Return the targets that come with the lab, by name: first those that need no folder."""
    files = sorted((shipped_files() / "docker").glob("*/target.toml"))
    return _without_folders() | {target.name: target for target in (read_folder(file.parent) for file in files)}


def _without_folders() -> dict[str, TargetFolder]:
    return {target.name: target for name in backend_names() for target in find_backend(name).shipped()}


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
    shipped = _without_folders()
    if name not in shipped:  # to read all folders takes longer than many a case in process
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
        if target.based_on:
            return _based_on(path, document)
        if target.files:
            raise FolderError(f'{file}: [files] are laid over a shipped target; which one? based_on = "postfix"')
        if target.base_image:
            raise FolderError(f"{file}: base_image goes with based_on; a Dockerfile of one's own says its own FROM")
    except OSError as error:
        raise FolderError(
            f"{file}: cannot be read: {error.strerror}; "
            "a target's folder has a file target.toml (`sts-lab docs adding-an-mta` describes it)"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise FolderError(f"{file}: {error}; legal keys are {_legal_keys()}") from error
    if folder.file.backend not in backend_names():
        there = ", ".join(backend_names())
        raise FolderError(f"{file}: there is no backend {folder.file.backend!r}; there are {there}")
    return folder


#: What a target does not take from the one that it is based on.
_OWN_KEYS = ("name", "title", "description", "based_on", "files", "dockerfile", "better_than_packaged")


def _based_on(path: Path, document: dict[str, Any]) -> TargetFolder:
    """Return a folder whose image is that of a shipped target, and which says only what is different."""
    file, name = path / "target.toml", document["based_on"]
    shipped = shipped_files() / "docker" / name / "target.toml"
    if "/" in name or name == path.resolve().name or not shipped.is_file():
        known = sorted(one.parent.name for one in (shipped_files() / "docker").glob("*/target.toml"))
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise FolderError(f"{file}: based_on = {name!r} is no shipped target with an image; {hint}")
    if taken := {"dockerfile", "backend", "process"} & document.keys():
        raise FolderError(f"{file}: {min(taken)!r} and based_on exclude each other: the image is that of {name}")
    base = read_folder(shipped.parent)
    defaults = {key: value for key, value in msgspec.to_builtins(base.file).items() if key not in _OWN_KEYS}
    merged = defaults | document
    for table in ("environment", "sysctls"):
        merged[table] = defaults[table] | document.get(table, {})
    target = msgspec.convert(merged, TargetFile)
    rules = rules_if_any(base.made_in)
    own = (laid_at(at, path / source, f"{file}: [files]", rules) for at, source in target.files.items())
    laid = {one.at: one for one in (*base.laid, *(one for some in own for one in some))}
    return TargetFolder(path, target, base, tuple(laid.values()), called=target.name)


def with_config(target: TargetFolder, configs: Sequence[str], installs: Sequence[str]) -> TargetFolder:
    """Return a shipped target with an operator's configuration laid over it, and packages installed into its image.

    Known failures of one's own are in the first folder of the configuration. Raises `TargetRefused`.
    """
    if target.file.backend != "docker" or not target.origin.shipped:
        raise TargetRefused(
            f"--config and --install are for shipped targets with an image, and {target.name} is not one; name one: "
            "--target postfix"
        )
    rules = read_rules(target.made_in) if configs else OverlayRules()
    laid = [one for argument in configs for one in laid_by(argument, rules)]
    everything = bounded(tuple({one.at: one for one in (*target.laid, *laid)}.values()), "--config")
    first = next((Path(config) for config in configs if Path(config).is_dir()), target.path / "nowhere")
    called = f"{target.name} with {' '.join((*configs, *installs))}"
    return TargetFolder(first, target.file, target, everything, installed_by(installs), called)


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
