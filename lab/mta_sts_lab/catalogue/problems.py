"""What is wrong with scenario files, said once for each mistake: file, line, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
