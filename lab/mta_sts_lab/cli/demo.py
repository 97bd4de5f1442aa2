"""`sts-lab demo`: what was typed, and how fast it is shown. Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.exercise import ForSender, with_exercise
from mta_sts_lab.cli.families import FamilyWord
from mta_sts_lab.cli.options import Flaws, Modes, Out, Target
from mta_sts_lab.cli.output import aside, console, refuse_unwritable
from mta_sts_lab.cli.scenarios import Scenarios, open_scenarios, status_with
from mta_sts_lab.cli.telling import tell_reports

if TYPE_CHECKING:
    from rich.console import Console

    from mta_sts_lab.events import Event
    from mta_sts_lab.reports.narration import Pace

Name = Annotated[str, typer.Argument(help="A scenario, or just its name: strip.")]
Vector = Annotated[str, typer.Option(help="Which vector to show; the first if not said.")]
Reports = Annotated[bool, typer.Option("--reports", help="Also compare each TLS report with what the lab saw.")]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also write one page that plays it in a browser.")
]
Pause = Annotated[bool, typer.Option("--pause", help="Wait for a key before each step.")]
Slow = Annotated[bool, typer.Option("--slow", help="Show line after line, at the speed of reading.")]

#: Seconds from one line to the next with `--slow`.
_READING = 0.7


def demo(
    scenario: Name,
    target: Target = "reference",
    mode: Modes = None,
    flaw: Flaws = None,
    vector: Vector = "",
    family: FamilyWord = "",
    out: Out = Path("runs"),
    html: Html = None,
    reports: Reports = False,
    pause: Pause = False,
    slow: Slow = False,
    scenarios: Scenarios = None,
    exercise: ForSender = None,
) -> None:
    """Show an attack as it happens, under each policy mode.

    At the end stand the modes side by side, and what they show.
    """
    from mta_sts_lab import runs
    from mta_sts_lab.reports.narration import Narrator
    from mta_sts_lab.runs.errors import UsageError
    from mta_sts_lab.runs.scenarios import find_scenario
    from mta_sts_lab.runs.selecting import choose_cases
    from mta_sts_lab.runs.showing import conclusions_of, lesson_of_scenario, write_lesson

    if pause and not sys.stdin.isatty():
        raise UsageError("--pause waits for keys, and nobody can press one here: there is no terminal")
    if html is not None:
        refuse_unwritable("--html", html)
    screen = console()
    catalogue = open_scenarios(scenarios)
    shown, names = find_scenario(catalogue, scenario, vector)
    cases = list(choose_cases(catalogue, names, mode or ()))
    narrator = Narrator(screen, cases, shown, pace=_pace(screen, pause, slow))
    # What is told slowly is told afterwards: the world and its deadlines do not wait for a reader.
    later: list[Event] = []
    paced = pause or slow
    watcher = runs.Watcher(event=later.append if paced else narrator.on_event, say=lambda text: aside(screen, text))
    if paced:
        aside(screen, f"playing {shown.id} against {target} ...")
    request = runs.RunRequest(
        names,
        modes=tuple(mode or ()),
        target=target,
        flaws=tuple(flaw or ()),
        out=out,
        family=family,
        command=("sts-lab", *sys.argv[1:]),
    )
    request = with_exercise(request, exercise, other_sender=target != "reference")
    result = runs.run(request, watcher, catalogue)
    for event in later:
        narrator.on_event(event)
    aside(screen, f"\nThe record of this run is in {result.folder}/")
    narrator.finish(result.verdicts)
    if reports:
        tell_reports(screen, result)
    if html is not None:
        write_lesson(html, lesson_of_scenario(result, shown))
        aside(screen, f"page: {html} (open it in a browser; it needs no server)")
    narrator.conclude(conclusions_of(result))
    raise typer.Exit(status_with(catalogue, result.summary.exit_code))


def _pace(screen: Console, pause: bool, slow: bool) -> Pace:
    """Return what is called before each line that is shown, and before each step."""

    def pace(step_begins: bool) -> None:
        if pause and step_begins:
            import click

            screen.print("[a key goes on, q ends]", style="dim", end="\r", markup=False)
            if click.getchar() in ("q", "Q", "\x03", "\x04"):
                raise KeyboardInterrupt
            screen.print(" " * 24, end="\r")
        elif slow:
            time.sleep(_READING)

    return pace
