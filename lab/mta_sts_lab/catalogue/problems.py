"""What is wrong with scenario files, each mistake with its line: the standard library's TOML reader names no lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mta_sts_lab.requirements import near_misses

#: Where something stands in a scenario file: keys, and numbers for the tables of a list.
KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[|\[)\s*([^\[\]#]+?)\s*\]{1,2}\s*(?:#.*)?$")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"")
_ASSIGNMENT = re.compile(rf"^\s*((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)\s*=(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `at` is the place in the file's tables; `Source.place` adds the file and the line."""

    message: str
    at: KeyPath = ()
    #: The name of the vector under which it shows, if it is not in every one.
    vector: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file or 'scenario'}: {self.message}"


class CatalogueError(Exception):
    """Scenario files that cannot be played. `problems` lists everything that is wrong with all of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def unknown(what: str, word: str, legal: Iterable[str]) -> str:
    """Return the message for a word that is not among the legal ones, with the nearest of them."""
    choices = tuple(legal)
    near = near_misses(word, choices)
    if near:
        return f"unknown {what} `{word}`; did you mean `{near[0]}`?"
    return f"unknown {what} `{word}`; legal are {', '.join(choices) or 'none'}"


class LineIndex:
    """The lines of one well-formed TOML text, by the path of their keys."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        written = list(self._scan())
        # `[expect.enforce]` alone also makes the table `expect`: it begins where its first part does.
        implied = [(path[:length], first, first) for path, first, _ in written for length in range(1, len(path))]
        self._places = written + implied

    def line_of(self, path: KeyPath) -> int:
        """Return the line (from 1) where a path stands, or the nearest table around it; 1 if nothing of it is there."""
        for length in range(len(path), 0, -1):
            for written, first, last in self._places:
                if _is_spelling(written, path[:length]):
                    return self._within(first, last, path[length:])
        return 1

    def knows(self, path: KeyPath) -> bool:
        """Whether a path itself stands in the text."""
        return any(_is_spelling(written, path) for written, _, _ in self._places)

    def _within(self, first: int, last: int, rest: KeyPath) -> int:
        """Look for the remaining keys inside a value of several lines (a list of inline tables)."""
        names = [part for part in rest if isinstance(part, str)]
        for number in range(first, last + 1):
            if names and re.search(rf"\b{re.escape(names[-1])}\b\s*=", self._lines[number - 1]):
                return number
        return first

    def _scan(self) -> Iterator[tuple[KeyPath, int, int]]:
        """Yield each table and key with its first and last line."""
        table: KeyPath = ()
        counts: dict[KeyPath, int] = {}
        number = 0
        while number < len(self._lines):
            line = self._lines[number]
            number += 1
            header, assignment = _HEADER.match(line), _ASSIGNMENT.match(line)
            if header:
                table = _table_path(_parts(header[2]), header[1] == "[[", counts)
                yield table, number, number
            elif assignment:
                first, number = number, self._end_of_value(number, assignment[2])
                yield (*table, *_parts(assignment[1])), first, number

    def _end_of_value(self, number: int, value: str) -> int:
        """Return the last line of a value: values are read on until they are complete."""
        while number < len(self._lines) and not _complete(value):
            value += "\n" + self._lines[number]
            number += 1
        return number


def _complete(value: str) -> bool:
    try:
        tomllib.loads(f"value = {value.strip()}")
    except tomllib.TOMLDecodeError:
        return False
    return True


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip('"') for part in _PART.findall(dotted))


def _table_path(parts: tuple[str, ...], is_list: bool, counts: dict[KeyPath, int]) -> KeyPath:
    """Turn a header's name into a path: a name that was a list before stands for its latest table."""
    path: KeyPath = ()
    for position, part in enumerate(parts, start=1):
        path = (*path, part)
        if is_list and position == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _is_spelling(written: KeyPath, path: KeyPath) -> bool:
    """Whether a path was written so: an only table (`[world.mx]`) stands for a list of one, without its number."""
    parts = list(written)
    for part in path:
        if parts and parts[0] == part:
            parts.pop(0)
        elif isinstance(part, str):
            return False
    return not parts
