"""The trainer's sheet: every exercise with its task, its hints, its solution and its time, as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from mta_sts_lab.exercises.exercise import Exercise

_WIDTH = 79


def sheet(exercises: Iterable[Exercise]) -> str:
    """Return the sheet of some exercises."""
    return "\n".join(line for exercise in exercises for line in _exercise(exercise)).rstrip() + "\n"


def wrapped(text: str, indent: str = "") -> Iterator[str]:
    """Yield the lines of a text, its paragraphs filled; what begins with blanks is left as it is."""
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith(" "):
            yield from (f"{indent}{line}" for line in paragraph.splitlines())
        else:
            yield from textwrap.wrap(
                " ".join(paragraph.split()),
                _WIDTH,
                initial_indent=indent,
                subsequent_indent=indent,
                break_on_hyphens=False,
                break_long_words=False,
            )
        yield ""


def _exercise(exercise: Exercise) -> Iterator[str]:
    head = exercise.head
    title = f"Exercise {head.number}: {head.title}"
    yield from (title, "=" * len(title), "")
    yield from wrapped(f"Time: {head.minutes} minutes. {head.measured}")
    yield f"Start:  sts-lab exercise start {head.number}"
    yield f"Check:  sts-lab exercise check {head.number}"
    yield from ("", "Task", "")
    yield from wrapped(head.task, "  ")
    yield from ("Hints", "")
    for number, hint in enumerate(head.hints, start=1):
        yield from wrapped(f"{number}. {hint}", "  ")
    yield from ("Solution", "")
    yield from wrapped(exercise.solution.solution, "  ")
    if head.afterwards:
        yield from ("Afterwards", "")
        yield from wrapped(head.afterwards, "  ")
    yield ""
