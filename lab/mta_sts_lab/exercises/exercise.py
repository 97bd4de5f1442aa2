"""What an exercise is, and where exercises are."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mta_sts_lab.exercises.registry import Kind, Solution, kinds
from mta_sts_lab.requirements import near_misses
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.shipped_files import shipped_files


class Head(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What `exercise.toml` says beside the tables of the kinds."""

    number: int
    title: str
    task: str
    hints: tuple[str, ...]
    #: How long a learner has, and what that was measured with.
    minutes: int
    measured: str
    #: What the trainer may add when it is solved.
    afterwards: str = ""


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise. `parts` are the kinds of its checks, each with its table."""

    folder: Path
    head: Head
    parts: tuple[tuple[Kind, Any], ...]
    solution: Solution

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.resolve().name

    @property
    def work_folder(self) -> str:
        """What the learner's folder is called."""
        return f"exercise-{self.head.number}"

    def files(self, solved: bool = False) -> dict[str, bytes]:
        """Return the files for the learner, by their names; as they should become, if they are to be solved."""
        found = {
            path.relative_to(self.folder / place).as_posix(): path.read_bytes()
            for place in (("files", "solved") if solved else ("files",))
            for path in sorted((self.folder / place).rglob("*"))
            if path.is_file()
        }
        for kind, form in self.parts:
            written = kind.files(form, self.solution if solved else None)
            found |= {name: text.encode() for name, text in written.items()}
        return found


def shipped_exercises() -> tuple[Exercise, ...]:
    """Return the exercises that come with the lab, by their numbers."""
    return exercises_in(shipped_files() / "exercises")


def exercises_in(folder: Path) -> tuple[Exercise, ...]:
    """Return the exercises of a folder, by their numbers. Raises `UsageError` for a file that is wrong."""
    found = [read_exercise(path.parent) for path in sorted(folder.glob("*/exercise.toml"))]
    if not found:
        raise UsageError(f"{folder}: there are no exercises (NAME/exercise.toml)")
    return tuple(sorted(found, key=lambda exercise: exercise.head.number))


def find_exercise(name: str) -> Exercise:
    """Return a shipped exercise by number or name, or any by the path of its folder. Raises `UsageError`."""
    if "/" in name or name.startswith("."):
        return read_exercise(Path(name))
    shipped = shipped_exercises()
    for exercise in shipped:
        if name in (str(exercise.head.number), exercise.name):
            return exercise
    near = near_misses(name, [exercise.name for exercise in shipped])
    there = ", ".join(f"{exercise.head.number} ({exercise.name})" for exercise in shipped)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {there}"
    raise UsageError(f"there is no exercise {name!r}; {hint}")


def read_exercise(folder: Path) -> Exercise:
    """Read an exercise. Raises `UsageError` with the file and what is wrong."""
    tables = _tables(folder / "exercise.toml")
    known = kinds()
    fields = set(Head.__struct_fields__)
    for name in tables.keys() - fields - known.keys():
        legal = ", ".join(sorted([*fields, *known]))
        raise UsageError(f"{folder / 'exercise.toml'}: unknown key {name!r}; legal are {legal}")
    head = _converted(folder / "exercise.toml", {key: tables[key] for key in fields & tables.keys()}, Head)
    parts = tuple(
        (kind, _converted(folder / "exercise.toml", tables[kind.name], kind.form))
        for kind in known.values()
        if kind.name in tables
    )
    solution = _converted(folder / "solution.toml", _tables(folder / "solution.toml"), Solution)
    return Exercise(folder, head, parts, solution)


def _tables(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def _converted(path: Path, value: Any, form: Any) -> Any:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}") from error
