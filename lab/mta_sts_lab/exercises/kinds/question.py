"""Questions: the learner writes the answers into `answers.toml`."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mta_sts_lab.exercises.registry import Kind, Result, Solution, register
from mta_sts_lab.runs.errors import UsageError

ANSWERS = "answers.toml"

#: Octets. Answers are words.
LARGEST_FILE = 1 << 16


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One question. `name` is its key in the file of answers."""

    name: str
    ask: str


def _files(questions: list[Question], solution: Solution | None) -> Mapping[str, str]:
    parts = ["# Write each answer between the quotes.\n"]
    for question in questions:
        asked = textwrap.wrap(question.ask, 98)
        answer = solution.answers[question.name][0] if solution else ""
        parts.append("\n".join([*(f"# {line}" for line in asked), f'{question.name} = "{answer}"\n']))
    return {ANSWERS: "\n".join(parts)}


def _check(questions: list[Question], solution: Solution, folder: Path) -> Iterator[Result]:
    given = _answers(folder / ANSWERS)
    for question in questions:
        answer = _plain(given.get(question.name, ""))
        right = answer in {_plain(one) for one in solution.answers[question.name]}
        says = question.name if right else f"{question.name}: " + ("wrong" if answer else "no answer yet")
        yield Result(right, f"{ANSWERS}: {says}")


def _answers(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE).decode("utf-8-sig")
        return tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f'{path}: {error}; an answer is written as name = "text"') from error


def _plain(answer: object) -> str:
    """Return an answer without what makes no difference: case, quotes, blanks and a final dot."""
    return " ".join(str(answer).casefold().replace("_", " ").replace("-", " ").split()).strip("`'\". ")


register(Kind("question", list[Question], _check, _files))
