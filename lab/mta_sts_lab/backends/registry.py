"""The interface of backends, and the registry of them.

A backend starts targets of one kind and plays a plan against them. `backend = "NAME"` in target.toml names it; the
module `mta_sts_lab.backends.NAME` is imported when it is needed, and registers it.
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
from mta_sts_lab.model.target import CAPABILITIES
from mta_sts_lab.model.world import Family

if TYPE_CHECKING:
    from mta_sts_lab.backends.target_folder import TargetFolder
    from mta_sts_lab.runner.outlet import Outlet
    from mta_sts_lab.runner.plan import Plan


class BackendError(Exception):
    """A backend could not start a target (no Docker, no namespaces). The message says what to do."""


class TargetRefused(Exception):
    """The request does not fit the target. The message says what would be right."""


def refuse_unknown_claims(claims: Collection[str]) -> None:
    """Raise `TargetRefused` where a target claims what the lab does not know: a typing mistake, for example."""
    if unknown := [claim for claim in claims if claim not in CAPABILITIES]:
        raise TargetRefused(f"it claims {unknown[0]!r}, and what can be claimed is {', '.join(CAPABILITIES)}")


@dataclass(frozen=True, slots=True)
class Job:
    """What a backend plays, and where the results go."""

    plan: Plan
    target: TargetFolder
    outlet: Outlet
    #: An existing folder for the target's files of the run.
    directory: Path
    #: Flaws of the reference sender, by name.
    flaws: frozenset[str] = frozenset()
    #: Takes lines of progress to print.
    say: Callable[[str], None] = lambda _: None
    #: What the reference sender calls itself, instead of naming its flaws; empty: it names them.
    called: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """The result of building one target's image: its name, or the problem."""

    target: str
    image: str = ""
    problem: str = ""


class Backend(ABC):
    """One way to start targets. Only `name` and `play` are required."""

    #: The value of `backend` in target.toml.
    name: str

    #: Whether a run is divided among the processors where no number of processes is asked for.
    divided_by_default = False

    #: Whether its worlds have packets that can be captured.
    captures = False

    #: Whether its worlds can stay up for people to enter.
    stays_up = False

    @abstractmethod
    def play(self, job: Job) -> str | None:
        """Play a plan against a target and hand the record and the target's files to the outlet.

        The target is always removed. Returns how the target ended by itself during the run (only where an adapter is
        checked; otherwise that is an error), empty if it stayed up, and None where a target cannot end by itself.
        Raises `BackendError`, `TargetError` and `KeyboardInterrupt`.
        """

    def lacks(self, folder: TargetFolder) -> str:
        """Return what is missing in a folder that did not come with the lab, and what to do; empty if nothing is."""
        return ""

    def check(self, target: TargetFolder, flaws: Collection[str]) -> None:
        """Raise `TargetRefused` if the target cannot be played with these flaws."""
        if flaws:
            raise TargetRefused(f"--flaw is for the reference sender; {target.name} has only the flaws it has")

    def shipped(self) -> Iterable[TargetFolder]:
        """Return the shipped targets of this backend that have no folder."""
        return ()

    def one_at_a_time(self, target: TargetFolder) -> str:
        """Return why only one instance of a target can be up at a time; empty if several can."""
        return f"the backend {self.name} starts one target at a time"

    def families(self, target: TargetFolder) -> tuple[Family, ...]:
        """Return the families in which the world can have hosts for a target."""
        return (Family.IPV4,)

    def why_without(self, family: Family) -> str:
        """Return why the world can have no hosts in a family."""
        return f"the backend {self.name} gives its targets no {family.value} world"

    def prepare(self, target: TargetFolder, say: Callable[[str], None]) -> None:  # noqa: B027 - most need nothing
        """Make what all instances of a target need, before several are started. Raises `BackendError`."""

    def capabilities(self, target: TargetFolder) -> tuple[str, ...]:
        """Return the capabilities of a target that are known before it is up."""
        return ()

    def build(self, targets: Iterable[TargetFolder], say: Callable[[str], None]) -> list[Built]:
        """Build what targets need before a run. Raises `BackendError` if nothing can be built."""
        return []

    def clean(self, everything: bool) -> Iterator[str]:
        """Remove what killed runs left behind, with `everything` also that of running ones; yield a line for each."""
        yield from ()


_registered: dict[str, Backend] = {}


def register(backend: Backend) -> None:
    """Register a backend under its name."""
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
    return modules - {
        "registry",
        "capturing",
        "folder",
        "target_folder",
        "overlay",
        "local",
        "own_answers",
        "served",
        "served_plan",
        "staying",
        "new_folder",
    }
