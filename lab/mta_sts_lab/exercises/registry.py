"""The kinds of checks: each is named like its table in `exercise.toml`, and registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


class Solution(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The file `solution.toml`."""

    solution: str
    #: The flaw of the reference sender that `run --exercise` plays against; empty: none.
    flaw: str = ""
    #: The right answers to each question, the best first.
    answers: dict[str, list[str]] = {}


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at in a learner's work."""

    right: bool
    says: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of check.

    `form` is the type of its table. `check` looks at a learner's folder. `files` are written for the learner when the
    exercise is started, and, with the solution, filled in.
    """

    name: str
    form: Any
    check: Callable[[Any, Solution, Path], Iterator[Result]]
    files: Callable[[Any, Solution | None], Mapping[str, str]] = lambda _form, _solution: {}
    #: What a learner is told before a check that takes its time.
    note: str = ""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Register a kind under its name."""
    _kinds[kind.name] = kind


def kinds() -> Mapping[str, Kind]:
    """Return all kinds, by name."""
    import mta_sts_lab.exercises.kinds as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _kinds
