"""A learner's folder: made when an exercise is started, and looked at when it is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mta_sts_lab.exercises.exercise import Exercise
from mta_sts_lab.exercises.registry import Result
from mta_sts_lab.exercises.sheet import wrapped
from mta_sts_lab.runs.errors import UsageError

#: Holds the task, so that the learner can read it again.
TASK_FILE = "TASK.txt"


def start_work(exercise: Exercise, folder: Path) -> tuple[str, ...]:
    """Make the learner's folder, and return the names of the files in it. Raises `UsageError`."""
    files = {TASK_FILE: "\n".join(wrapped(exercise.head.task)).encode()} | exercise.files()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder}/ is not empty: go on there, remove it, or name another one with --folder")
        for name, octets in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(octets)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return tuple(files)


def check_work(exercise: Exercise, folder: Path) -> Iterator[Result]:
    """Yield what is right and what is wrong in a learner's folder. Raises `UsageError` where there is nothing to check.

    An exercise without any check has no results.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no {folder}/; `sts-lab exercise start {exercise.head.number}` makes it")
    for kind, form in exercise.parts:
        yield from kind.check(form, exercise.solution, folder)
