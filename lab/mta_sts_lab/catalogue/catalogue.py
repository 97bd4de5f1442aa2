"""All scenarios of a directory, and the cases that a selection names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec

from mta_sts_lab.catalogue.expand import expand
from mta_sts_lab.catalogue.lint import lint
from mta_sts_lab.catalogue.loader import Source, family_files, misplaced, read_source, scenario_files
from mta_sts_lab.catalogue.problems import CatalogueError, Problem
from mta_sts_lab.model.case import AttackForm, Case, Scenario
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.requirements import near_misses


class NothingSelected(Exception):
    """A selection pattern that matches no case: the message offers what was probably meant."""


def digest_of(cases: Sequence[Case]) -> str:
    """Return a digest of everything that some cases say."""
    return hashlib.sha256(msgspec.json.encode(cases, order="deterministic")).hexdigest()[:32]


@dataclass(frozen=True)
class Catalogue:
    """Every scenario in the order of the ids, and every case by its id. `problems`: of files that were left out."""

    scenarios: tuple[Scenario, ...]
    cases: Mapping[str, Case]
    problems: tuple[Problem, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A digest of all cases, by which runs are known to be of the same catalogue."""
        return digest_of(tuple(self.cases.values()))

    def scenario(self, identifier: str) -> Scenario:
        """Return a scenario by its id, `family/name`. Raises `KeyError`."""
        found = next((scenario for scenario in self.scenarios if scenario.id == identifier), None)
        if found is None:
            raise KeyError(identifier)
        return found

    def find(self, patterns: Sequence[str]) -> tuple[Case, ...]:
        """Return the cases that any of some patterns names, each once, in the catalogue's order; all without a pattern.

        A pattern is a case id, a scenario id or a family, in which `*` and `?` are wild; brackets are part of case ids
        and stand for themselves. Raises `NothingSelected` when a pattern matches nothing.
        """
        chosen: set[str] = set()
        for pattern in patterns or ("*",):
            if pattern in self.cases:
                chosen.add(pattern)
                continue
            expression = re.compile("".join(_translated(pattern)))
            found = [case.id for case in self.cases.values() if _matches(expression, case)]
            if not found:
                raise NothingSelected(self._nothing(pattern))
            chosen.update(found)
        return tuple(case for case in self.cases.values() if case.id in chosen)

    def _nothing(self, pattern: str) -> str:
        families = {_family(case): None for case in self.cases.values()}
        names = [*families, *(scenario.id for scenario in self.scenarios), *self.cases]
        beginning = [name for name in names if name.startswith(pattern.rstrip("]*") + ",")]
        same = [scenario.id for scenario in self.scenarios if scenario.id.partition("/")[2] == pattern]
        near = beginning[:3] or same or near_misses(pattern, names)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; the families are {', '.join(families)}"
        return f"`{pattern}` matches no case{hint}"


def load_catalogue(
    directory: Path,
    attacks: Mapping[str, AttackForm],
    requirements: Mapping[str, Requirement],
    flaws: Collection[str],
) -> Catalogue:
    """Read, expand and check every scenario file below a directory.

    `flaws` are the names that `kills` may name. Raises `CatalogueError` with all the problems of all the files.
    """
    catalogue = read_catalogue(directory, attacks, requirements, flaws)
    if catalogue.problems:
        raise CatalogueError(catalogue.problems)
    return catalogue


def read_catalogue(
    directory: Path,
    attacks: Mapping[str, AttackForm],
    requirements: Mapping[str, Requirement],
    flaws: Collection[str],
) -> Catalogue:
    """Read as `load_catalogue` does, but leave out each scenario that has a problem, and return the problems beside."""
    problems: list[Problem] = misplaced(directory)
    families: dict[Path, Source | None] = {}
    scenarios: list[Scenario] = []
    for path in family_files(directory):
        defaults, malformed = read_source(path, directory)
        families[path.parent] = None if malformed else defaults
        problems += malformed
    for path in scenario_files(directory):
        source, malformed = read_source(path, directory, families.get(path.parent))
        problems += malformed
        if malformed or families.get(path.parent, source) is None:
            continue
        scenario, inconsistent = expand(source, attacks)
        unsound = [source.place(problem) for problem in lint(scenario, attacks, requirements, flaws)]
        if inconsistent or unsound:
            # Without its vector a mistake that several vectors inherit from one line is one problem.
            problems += [replace(problem, vector="") for problem in (*inconsistent, *unsound)]
        else:
            scenarios.append(scenario)
    if not scenarios and not problems:
        problems.append(Problem("no scenarios here", file=str(directory)))
    cases = {case.id: case for scenario in scenarios for case in scenario.cases}
    return Catalogue(tuple(scenarios), cases, tuple(dict.fromkeys(problems)))


def _family(case: Case) -> str:
    return case.scenario.split("/", maxsplit=1)[0]


def _matches(expression: re.Pattern[str], case: Case) -> bool:
    return any(expression.fullmatch(name) for name in (case.id, case.scenario, _family(case)))


def _translated(pattern: str) -> Iterable[str]:
    return ({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
