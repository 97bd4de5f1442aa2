"""Which scenarios there are. Importing this module imports none of the parts that play."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.backends.in_process import known_flaws
from mta_sts_lab.catalogue import Catalogue, CatalogueError, NothingSelected, load_catalogue, read_catalogue
from mta_sts_lab.model.case import Scenario
from mta_sts_lab.requirements import load_requirements, near_misses
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.shipped_files import shipped_files


def load_shipped_catalogue() -> Catalogue:
    """Return the shipped scenarios, checked. Raises `CatalogueError`."""
    return _load_once(shipped_files() / "scenarios")


@cache
def _load_once(folder: Path) -> Catalogue:
    return load_catalogue(folder, ATTACK_FORMS, load_requirements(), known_flaws())


def load_scenarios(folder: Path | None) -> Catalogue:
    """Return the scenarios of a folder (`<family>/<name>.toml`), by default the shipped ones.

    A file with a problem is left out, and the problem is among those of the catalogue. Raises `CatalogueError` where
    nothing is left, and `UsageError` where there is no such folder.
    """
    if folder is None:
        return load_shipped_catalogue()
    if not folder.is_dir():
        raise UsageError(f"--scenarios {folder}: there is no such folder")
    catalogue = read_catalogue(folder, ATTACK_FORMS, load_requirements(), known_flaws())
    if not catalogue.scenarios:
        raise CatalogueError(catalogue.problems)
    return catalogue


def whole_catalogue(folder: Path | None) -> Catalogue:
    """Return the scenarios of a folder, by default the shipped ones. Raises `CatalogueError` if a file has a mistake.

    Raises `UsageError` where there is no such folder.
    """
    catalogue = load_scenarios(folder)
    if catalogue.problems:
        raise CatalogueError(catalogue.problems)
    return catalogue


def find_scenario(catalogue: Catalogue, name: str, vector: str = "") -> tuple[Scenario, tuple[str, ...]]:
    """Return the scenario of an id, or the only one of that name, and its case ids of a vector, by default the first.

    Raises `NothingSelected` and `UsageError`.
    """
    found = [one for one in catalogue.scenarios if name in (one.id, one.id.partition("/")[2])]
    if len(found) > 1:
        raise NothingSelected(f"{name} is the name of {' and '.join(one.id for one in found)}: say which")
    if not found:
        short = [one.id.partition("/")[2] for one in catalogue.scenarios]
        if name in catalogue.cases:
            case = catalogue.cases[name]
            options = f"--mode {case.mode.value}{f' --vector {case.vector}' if case.vector else ''}"
            raise NothingSelected(f"{name} is a case; give its scenario: {case.scenario} {options}")
        near = near_misses(name, [*short, *(one.id for one in catalogue.scenarios)])
        hint = f"did you mean {' or '.join(near)}?" if near else "`sts-lab list` shows them all"
        raise NothingSelected(f"no scenario is called {name!r}; {hint}")
    (scenario,) = found
    cases = tuple(case.id for case in scenario.cases if case.vector == (vector or scenario.cases[0].vector))
    if not cases:
        vectors = ", ".join(dict.fromkeys(case.vector for case in scenario.cases if case.vector))
        raise UsageError(f"{scenario.id} has no vector {vector!r}; it has {vectors or 'none: leave out --vector'}")
    return scenario, cases
