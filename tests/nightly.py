"""Marks the tests that `make test` leaves to `make test-nightly`: those that `nightly.toml` names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

_LIST = Path(__file__).with_name("nightly.toml")
#: The root of the project, from which the paths of the list begin.
ROOT = _LIST.parent.parent


@cache
def nightly_tests() -> Mapping[str, Sequence[str]]:
    """Return the names of tests by the file that they are in, as a path from the root of the project."""
    names: dict[str, list[str]] = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    return names


def mark_nightly(items: Iterable[pytest.Item], listed: Mapping[str, Sequence[str]], root: Path = ROOT) -> None:
    """Mark the items that are on the list."""
    for item in items:
        file = item.path.relative_to(root).as_posix() if item.path.is_relative_to(root) else ""
        name = _name_of(item)
        if {name, name.partition("[")[0]} & set(listed.get(file, ())):
            item.add_marker(pytest.mark.nightly)


def _name_of(item: pytest.Item) -> str:
    """Return what the list calls a test. Its node id would not do: xdist adds the test's group to that."""
    return "::".join(node.name for node in item.listchain() if isinstance(node, pytest.Class | pytest.Item))
