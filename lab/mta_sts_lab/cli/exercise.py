"""`sts-lab exercise` and `sts-lab flaws`. Everything heavy is imported where it is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.output import aside, console, say

if TYPE_CHECKING:
    from mta_sts_lab.runs import RunRequest

exercise_app = typer.Typer(
    name="exercise",
    help="Find a flaw, mend a policy, explain a report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Which = Annotated[str, typer.Argument(metavar="N", help="The number of an exercise, its name, or a folder (./mine).")]
Folder = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="The learner's folder.", show_default="exercise-N")
]
ForSender = Annotated[
    str | None,
    typer.Option(
        "--exercise", metavar="N", help="Play against the sender of this exercise: `sts-lab exercise` has them."
    ),
]


def with_exercise(request: RunRequest, exercise: str | None, other_sender: bool) -> RunRequest:
    """Return a request against the sender of an exercise, if there is one. Raises `UsageError`.

    The sender is called by the exercise, so that no file of the run names its flaw.
    """
    from mta_sts_lab.exercises import find_exercise
    from mta_sts_lab.runs.errors import UsageError

    if exercise is None:
        return request
    if other_sender or request.flaws:
        raise UsageError("--exercise has a sender of its own; leave out --target, --flaw and --command")
    found = find_exercise(exercise)
    if not found.solution.flaw:
        raise UsageError(f"exercise {found.head.number} is not about a sender: `sts-lab exercise start {exercise}`")
    return replace(request, flaws=(found.solution.flaw,), called=f"the sender of {found.name}")


@exercise_app.command("list", epilog="Example: sts-lab exercise list")
def list_exercises(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A folder with exercises of your own.")] = None,
) -> None:
    """List the exercises."""
    from mta_sts_lab.exercises.exercise import exercises_in, shipped_exercises

    for exercise in exercises_in(folder) if folder else shipped_exercises():
        say(f"{exercise.head.number}  {exercise.head.title} ({exercise.head.minutes} minutes)")


@exercise_app.command(epilog="Example: sts-lab exercise start 1")
def start(exercise: Which, folder: Folder = None) -> None:
    """Make a folder with what the exercise needs, and print the task."""
    from mta_sts_lab.exercises import find_exercise, start_work
    from mta_sts_lab.exercises.sheet import wrapped

    found = find_exercise(exercise)
    place = folder or Path(found.work_folder)
    files = start_work(found, place)
    say(f"Exercise {found.head.number}: {found.head.title} ({found.head.minutes} minutes)\n")
    say("\n".join(wrapped(found.head.task)))
    aside(console(), f"in {place}/: {', '.join(files)}")
    aside(console(), f"check: sts-lab exercise check {exercise}   hint: sts-lab exercise hint {exercise}")


@exercise_app.command(epilog="Example: sts-lab exercise check 1")
def check(exercise: Which, folder: Folder = None) -> None:
    """Check the answers and files in the learner's folder.

    Exit status: 0 solved, 1 not solved, 2 something cannot be read.
    """
    from rich.text import Text

    from mta_sts_lab.exercises import check_work, find_exercise
    from mta_sts_lab.reports.layout import Hanging, escaped

    found = find_exercise(exercise)
    for note in filter(None, (kind.note for kind, _ in found.parts)):
        aside(console(stderr=True), note)
    results = list(check_work(found, folder or _learners_folder(found.work_folder)))
    screen = console()
    for result in results:
        head = Text("right  ", style="green") if result.right else Text("wrong  ", style="red")
        screen.print(Hanging(head, escaped(result.says)))
    solved = bool(results) and all(result.right for result in results)
    if solved:
        say(f"Exercise {found.head.number} is solved.")
    else:
        right = sum(result.right for result in results)
        hidden = "some mistakes show only when others are mended"
        say(f"Not solved yet ({right} of {len(results)} right; {hidden}). `sts-lab exercise hint {exercise}` helps.")
    raise typer.Exit(0 if solved else 1)


def _learners_folder(name: str) -> Path:
    """Return the folder of an exercise: below the current one, or that itself."""
    from mta_sts_lab.exercises.work import TASK_FILE

    here = Path()
    return here if Path(TASK_FILE).is_file() and not Path(name).is_dir() else Path(name)


@exercise_app.command(epilog="Example: sts-lab exercise hint 1 2")
def hint(exercise: Which, number: Annotated[int, typer.Argument(metavar="K", help="Which hint.", min=1)] = 1) -> None:
    """Print a hint."""
    from mta_sts_lab.exercises import find_exercise
    from mta_sts_lab.exercises.sheet import wrapped
    from mta_sts_lab.runs.errors import UsageError

    found = find_exercise(exercise)
    hints = found.head.hints
    if number > len(hints):
        solution = f"`sts-lab exercise solution {exercise}` prints the solution"
        raise UsageError(f"exercise {found.head.number} has {len(hints)} hints; {solution}")
    say("\n".join(wrapped(hints[number - 1])))
    following = f"hint {exercise} {number + 1}" if number < len(hints) else f"solution {exercise}"
    aside(console(), f"hint {number} of {len(hints)}; next: sts-lab exercise {following}")


@exercise_app.command(epilog="Example: sts-lab exercise solution 1")
def solution(exercise: Which) -> None:
    """Print the solution."""
    from mta_sts_lab.exercises import find_exercise
    from mta_sts_lab.exercises.sheet import wrapped

    say("\n".join(wrapped(find_exercise(exercise).solution.solution)))


@exercise_app.command(epilog="Example: sts-lab exercise sheet > sheet.txt")
def sheet(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A folder with exercises of your own.")] = None,
) -> None:
    """Print the trainer's sheet: tasks, hints, solutions and times."""
    from mta_sts_lab.exercises.exercise import exercises_in, shipped_exercises
    from mta_sts_lab.exercises.sheet import sheet as sheet_of

    say(sheet_of(exercises_in(folder) if folder else shipped_exercises()))


def flaws(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="Only flaws with all of these words in name or text.")
    ] = None,
) -> None:
    """List the flaws that the reference sender can be given."""
    from mta_sts_lab.backends.in_process import known_flaws
    from mta_sts_lab.reports.tables import flaws_table
    from mta_sts_lab.runs.errors import UsageError

    wanted = [word.casefold() for word in words or ()]
    found = [
        flaw
        for flaw in known_flaws().values()
        if all(word in f"{flaw.name} {flaw.text} {flaw.obligation}".casefold() for word in wanted)
    ]
    if not found:
        raise UsageError(f"no flaw has {' and '.join(words or ())} in its name or text; `sts-lab flaws` lists all")
    console().print(flaws_table((flaw.name, flaw.text, flaw.obligation) for flaw in found))
