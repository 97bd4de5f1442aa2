"""Marks the tests that `make test` leaves to `make test-nightly`: those that `nightly.toml` names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

_LIST = Path(__file__).with_name("nightly.toml")
_ROOT = _LIST.parent.parent


@cache
def nightly_tests() -> Mapping[str, Sequence[str]]:
    """Return the names of tests by the file that they are in, as a path from the root of the project."""
    names: dict[str, list[str]] = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    return names


def mark_nightly(
    items: Iterable[pytest.Item], listed: Mapping[str, Sequence[str]], root: Path = _ROOT
) -> dict[str, set[str]]:
    """Mark the items that are on the list, and return the names that are none, by the files of these items."""
    left: dict[str, set[str]] = {}
    for item in items:
        file = item.path.relative_to(root).as_posix() if item.path.is_relative_to(root) else ""
        if file in listed:
            unseen = left.setdefault(file, set(listed[file]))
            # xdist adds the group of a test to its node id, so that is not asked.
            name = "::".join(node.name for node in item.listchain() if isinstance(node, pytest.Class | pytest.Item))
            for known in {name, name.partition("[")[0]} & set(listed[file]):
                item.add_marker(pytest.mark.nightly)
                unseen.discard(known)
    return {file: names for file, names in left.items() if names}
