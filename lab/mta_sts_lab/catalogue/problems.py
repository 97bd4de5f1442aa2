"""What is wrong with scenario files, each mistake with its line: the standard library's TOML reader names no lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mta_sts_lab.requirements import near_misses

#: Where something stands in a scenario file: keys, and numbers for the tables of a list.
KeyPath = tuple[str | int, ...]


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
    """The lines of one well-formed TOML text, by the path of their keys.

    A key stands where it appears first when the text is read up to line 1, 2, 3 and so on.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        #: The first and the last line of what was added, and the tables up to there. Values may span several lines.
        self._stages: list[tuple[int, int, dict[str, Any]]] = []
        first = 1
        for last in range(1, len(self._lines) + 1):
            with suppress(tomllib.TOMLDecodeError):
                self._stages.append((first, last, tomllib.loads("\n".join(self._lines[:last]))))
                first = last + 1

    def line_of(self, path: KeyPath) -> int:
        """Return the line (from 1) where a path stands, or the nearest table around it; 1 if nothing of it is there."""
        for length in range(len(path), 0, -1):
            for first, last, tables in self._stages:
                if _holds(tables, path[:length]):
                    return self._within(first, last, path)
        return 1

    def knows(self, path: KeyPath) -> bool:
        """Whether a path itself stands in the text."""
        return any(_holds(tables, path) for _, _, tables in self._stages[-1:])

    def _within(self, first: int, last: int, path: KeyPath) -> int:
        """Look for the last key inside a value of several lines (a list of inline tables)."""
        name = [part for part in path if isinstance(part, str)][-1]
        found = (number for number in range(first, last + 1) if _assigns(self._lines[number - 1], name))
        return next(found, first)


def _assigns(line: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b\s*=", line) is not None


def _holds(value: object, path: KeyPath) -> bool:
    """Whether a path leads somewhere. An only table (`[world.mx]`) stands for a list of one, without its number."""
    for part in path:
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif not (isinstance(value, dict) and part == 0):
            return False
    return True
