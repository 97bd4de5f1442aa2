"""A target's folder: `target.toml` beside its Dockerfile, hooks and known failures.

Adding a mail server to the lab is adding a folder.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec.structs import replace

from mta_sts_lab.backends.registry import Built, TargetRefused, backend_names, find_backend
from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.contract_http import PORT
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.timeouts import TARGET_READY

#: The name of a kernel setting that each network namespace has for itself: all others would be the whole machine's.
NetworkSetting = Annotated[str, msgspec.Meta(pattern=r"^net(\.[a-z0-9][a-z0-9_-]*)+$", max_length=100)]

#: What it is set to: numbers and words, as in /proc/sys.
SettingValue = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]


class FolderError(TargetRefused):
    """A target folder that is missing or wrong. The message says which file, what, and what would be right."""


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the target's contract is served, inside the network of the run."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = PORT


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[process]`: a target that is a command of this machine. It runs in its folder, in namespaces of its own."""

    #: The program and its arguments. A relative path begins at the folder.
    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    #: Whether the command itself serves the contract over HTTP.
    serves_contract: bool = False
    #: Otherwise: the folder of the executables that answer it, if there is one.
    hooks: str = "hooks"
    #: What the lab says for a command that answers no contract; see `mta_sts_lab.model.About`.
    capabilities: tuple[str, ...] = ()
    retry_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class TargetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`target.toml`, strictly."""

    #: What is typed after `--target`, and a part of the names of its image and container.
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str
    description: str
    #: How it is brought up: the name of a backend (see `mta_sts_lab.backends.registry`).
    backend: str = "docker"
    #: Seconds from the start of the container until its contract answers and its SMTP port takes mail, at the most.
    ready_seconds: Annotated[float, msgspec.Meta(gt=0, le=900)] = TARGET_READY.seconds
    inject: Inject = Inject()
    contract: Contract = Contract()
    #: Instead of a Dockerfile: the backend is then "process".
    process: Process | None = None
    #: The Dockerfile; empty: the one in the folder. In a shipped folder it is relative to the repository root, and may
    #: be another target's: the two then share its image, and `command` and `environment` tell them apart. In a folder
    #: of one's own it is relative to that folder, and lies in it.
    dockerfile: str = ""
    #: What the container runs; empty: what its image says.
    command: tuple[str, ...] = ()
    #: Linux capabilities that the mail server cannot do without. All others are dropped.
    capabilities_needed: tuple[str, ...] = ()
    #: Kernel settings of the container's own network (net.*), where its defaults are not those of a machine of its own.
    sysctls: dict[NetworkSetting, SettingValue] = msgspec.field(default_factory=dict)
    #: Environment for the container, beside what the lab itself sets (LAB_DNS, LAB_PREFIX ...).
    environment: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetFolder:
    """A folder that keeps the contract's form."""

    path: Path
    file: TargetFile

    @property
    def name(self) -> str:
        """The target's name: what is typed after `--target`."""
        return self.file.name

    @property
    def known_failures(self) -> Path:
        """Where the target's known failures are written down, if it has any."""
        return known_failures_file(self.path)

    @property
    def shipped(self) -> bool:
        """Whether it came with the lab: it is below `docker/` of the repository."""
        return self.path.resolve().is_relative_to(shipped_files() / "docker")


def shipped_targets() -> dict[str, TargetFolder]:
    """Return the targets that come with the lab, by name: first those that need no folder."""
    files = sorted((shipped_files() / "docker").glob("*/target.toml"))
    targets = [target for name in backend_names() for target in find_backend(name).shipped()]
    targets += [read_folder(file.parent) for file in files]
    return {target.name: target for target in targets}


def build_shipped(say: Callable[[str], None]) -> list[Built]:
    """Make ready what all shipped targets need, backend by backend. Raises `BackendError` where nothing can be."""
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
        raise FolderError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise FolderError(f"{file}: {error}; legal keys are {_legal_keys()}") from error
    if folder.file.backend not in backend_names():
        there = ", ".join(backend_names())
        raise FolderError(f"{file}: there is no backend {folder.file.backend!r}; there are {there}")
    return folder


def _ones_own(folder: TargetFolder) -> TargetFolder:
    """Check a folder that did not come with the lab: it needs a name of its own, and all that its backend wants."""
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
