"""`sts-lab course`: what was typed. Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab.cli.options import Out, Target
from mta_sts_lab.cli.output import aside, console
from mta_sts_lab.cli.telling import watched

Html = Annotated[Path, typer.Option("--html", metavar="DIR", help="The folder for the pages; it is made if need be.")]


def course(html: Html, target: Target = "reference", out: Out = Path("runs")) -> None:
    """Make a course of 13 lessons for the browser.

    All lessons are played now, in one run. The course begins with index.html; its pages need no server.
    """
    from mta_sts_lab import runs
    from mta_sts_lab.reports.lesson.course import read_course
    from mta_sts_lab.runs.showing import cases_of_course, write_course

    lessons = read_course()
    catalogue = runs.load_shipped_catalogue()
    selection = tuple(case for cases in cases_of_course(catalogue, lessons).values() for case in cases)
    request = runs.RunRequest(selection, target=target, out=out, command=("sts-lab", *sys.argv[1:]))
    screen = console(stderr=True)
    with watched(screen) as watcher:
        result = runs.run(request, watcher, catalogue)
    write_course(html, lessons, result, catalogue)
    aside(screen, f"{len(lessons.lessons)} lessons: {html / 'index.html'} (open it in a browser; it needs no server)")
    raise typer.Exit(result.summary.exit_code)
