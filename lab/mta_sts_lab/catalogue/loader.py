"""Read scenario files and the defaults of their families: TOML, in the shape of `document`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mta_sts_lab.catalogue.document import Document, FamilyDefaults, mismatches, tables_in, with_lists
from mta_sts_lab.catalogue.problems import KeyPath, LineIndex, Problem

#: Octets. The longest scenario file has about 4 KiB.
LARGEST_FILE = 1 << 18

#: The file of a folder that holds what its scenarios have in common.
FAMILY_FILE = "family.toml"

_NAME = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
_SYNTAX_ERROR_PLACE = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")


@dataclass(frozen=True)
class Source:
    """One scenario file, or the defaults of a family. `raw` are its tables, in which what may be a list is one."""

    id: str
    path: Path
    text: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    family: Source | None = None

    def place(self, problem: Problem) -> Problem:
        """Return a problem with the file and the line that say most of its place: the scenario's, or the family's."""
        for length in range(len(problem.at), 0, -1):
            for source in filter(None, (self, self.family)):
                for path in source._spellings(problem.at[:length], problem.vector):
                    if source._index.knows(path):
                        return source._at_line(problem, source._index.line_of((*path, *problem.at[length:])))
        return self._at_line(problem, self._index.line_of(problem.at))

    @cached_property
    def _index(self) -> LineIndex:
        return LineIndex(self.text)

    def _at_line(self, problem: Problem, line: int) -> Problem:
        return replace(problem, file=str(self.path), line=line)

    def _spellings(self, at: KeyPath, vector: str) -> Iterator[KeyPath]:
        """Yield the places where a thing may have been said: in its vector, at the top, in a step of its own."""
        vectors = [
            number for number, table in enumerate(tables_in(self.raw.get("vector"))) if table.get("name") == vector
        ]
        steps = range(len(tables_in(self.raw.get("step"))))
        for spelling in (at, ("world", *at[1:])) if at[0] == "fault" else (at,):
            yield from (("vector", number, *spelling) for number in vectors)
            yield spelling
            yield from (("step", number, *spelling) for number in steps)


def read_source(path: Path, directory: Path, family: Source | None = None) -> tuple[Source, list[Problem]]:
    """Read one scenario file, or a family's defaults, and return it with everything that is wrong with its form.

    A file with problems has a form that nothing else can be asked of.
    """
    source = Source(path.relative_to(directory).with_suffix("").as_posix(), path, family=family)
    try:
        if path.stat().st_size > LARGEST_FILE:
            return source, [Problem(f"larger than {LARGEST_FILE} octets", file=str(path), line=1)]
        text = path.read_text(encoding="utf-8")
        source = replace(source, text=text, raw=with_lists(tomllib.loads(text)))
    except OSError as error:
        return source, [Problem(f"cannot be read: {error.strerror}", file=str(path))]
    except UnicodeDecodeError as error:
        return source, [Problem(f"not UTF-8: {error.reason} at octet {error.start}", file=str(path), line=1)]
    except tomllib.TOMLDecodeError as error:
        return source, [_syntax_error(path, text, str(error))]
    shape = FamilyDefaults if path.name == FAMILY_FILE else Document
    return source, [source.place(problem) for problem in mismatches(source.raw, shape)]


def misplaced(directory: Path) -> list[Problem]:
    """Return a problem for every file that is not `<family>/<name>.toml`: nothing would ever play it."""
    return [
        Problem("unused: a scenario is <family>/<name>.toml, in lower-case words joined by hyphens", file=str(path))
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not _is_well_placed(path.relative_to(directory))
    ]


def scenario_files(directory: Path) -> list[Path]:
    """Return the scenario files below a directory, in the order of their ids."""
    found = [path for path in directory.rglob("*.toml") if _is_well_placed(path.relative_to(directory))]
    return sorted((path for path in found if path.name != FAMILY_FILE), key=lambda path: path.with_suffix("").parts)


def family_files(directory: Path) -> list[Path]:
    """Return the files with the defaults of families."""
    return sorted(directory.glob(f"*/{FAMILY_FILE}"))


def _is_well_placed(relative: Path) -> bool:
    names = (*relative.parts[:-1], relative.stem)
    return len(names) == 2 and relative.suffix == ".toml" and all(_NAME.match(name) for name in names)


def _syntax_error(path: Path, text: str, message: str) -> Problem:
    place = _SYNTAX_ERROR_PLACE.search(message)
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    return Problem(f"not TOML: {_SYNTAX_ERROR_PLACE.sub('', message)}", file=str(path), line=line)
