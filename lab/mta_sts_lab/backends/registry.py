"""What a backend does, and which backends there are.

A backend plays a plan against a target of its kind. `backend = "NAME"` in target.toml names it; the module
`mta_sts_lab.backends.NAME` registers it when it is imported, which happens when it is needed.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mta_sts_lab.backends

if TYPE_CHECKING:
    from mta_sts_lab.backends.target_folder import TargetFolder
    from mta_sts_lab.runner.context import Outlet
    from mta_sts_lab.runner.plan import Plan


class BackendError(Exception):
    """What brings targets up is not there, or refused. The message says what was wanted and what to do."""


class TargetRefused(Exception):
    """What was asked for does not suit the target. The message says what would be right."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a backend has to play, and where the results go."""

    plan: Plan
    target: TargetFolder
    outlet: Outlet
    #: A folder that exists, for what the target keeps during the run.
    directory: Path
    #: Flaws of the reference sender, by name.
    flaws: frozenset[str] = frozenset()
    #: Takes lines about the progress, for people.
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one target's image: its name, or why there is none."""

    target: str
    image: str = ""
    problem: str = ""


class Backend(ABC):
    """One way to bring targets up. Only `name` and `play` are a must."""

    #: As target.toml has it.
    name: str

    @abstractmethod
    def play(self, job: Job) -> str | None:
        """Play a plan against a target and hand the record and the target's files to the outlet.

        Whatever happens, nothing of the target stays behind. Returns how the target ended by itself before the run did
        (only where an adapter is checked; otherwise that is an error), empty if it stayed up, and None where a target
        cannot end by itself. Raises `BackendError`, `TargetError` and `KeyboardInterrupt`.
        """

    def lacks(self, folder: TargetFolder) -> str:
        """Say what a folder that did not come with the lab lacks, and what would be right; empty: nothing."""
        return ""

    def check(self, target: TargetFolder, flaws: Collection[str]) -> None:
        """Raise `TargetRefused` if the target cannot be played with these flaws."""
        if flaws:
            raise TargetRefused(f"--flaw is for the reference sender; {target.name} has only the flaws it has")

    def shipped(self) -> Iterable[TargetFolder]:
        """Return the targets that this backend brings along without a folder."""
        return ()

    def capabilities(self, target: TargetFolder) -> tuple[str, ...]:
        """Return what is known of a target's capabilities before it is up."""
        return ()

    def build(self, targets: Iterable[TargetFolder], say: Callable[[str], None]) -> list[Built]:
        """Make ready what can be made before a run. Raises `BackendError` if nothing can."""
        return []

    def clean(self, everything: bool) -> Iterator[str]:
        """Remove what killed runs left behind, of living runs too with `everything`; yield what went."""
        yield from ()


_registered: dict[str, Backend] = {}


def register(backend: Backend) -> None:
    """Make a backend known under its name."""
    _registered[backend.name] = backend


def find_backend(name: str) -> Backend:
    """Return a backend by name. Raises `TargetRefused`."""
    if name not in _registered and name in _shipped_names():
        importlib.import_module(f"{mta_sts_lab.backends.__name__}.{name}")
    if name not in _registered:
        raise TargetRefused(f"there is no backend {name!r}; there are {', '.join(backend_names())}")
    return _registered[name]


def backend_names() -> list[str]:
    """Return the names of all backends."""
    return sorted({*_registered, *_shipped_names()})


def _shipped_names() -> set[str]:
    modules = {module.name for module in pkgutil.iter_modules(mta_sts_lab.backends.__path__)}
    return modules - {"registry", "folder", "target_folder", "local", "served"}
