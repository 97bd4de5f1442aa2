"""`--scenarios DIR` of several commands: scenario files of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.output import console

if TYPE_CHECKING:
    from mta_sts_lab.catalogue import Catalogue

Scenarios = Annotated[
    Path | None,
    typer.Option(
        "--scenarios",
        metavar="DIR",
        help="Scenario files of your own, DIR/<family>/<name>.toml, instead of those that come with the lab. A file "
        "with a mistake is named, and the others are used; the exit status is 2 then.",
    ),
]


def open_scenarios(folder: Path | None) -> Catalogue:
    """Return the scenarios of a folder, or the shipped ones, and name what is wrong with files that are left out.

    Raises `CatalogueError` and `UsageError`.
    """
    from mta_sts_lab.reports.escaping import escape_unprintable
    from mta_sts_lab.runs.scenarios import load_scenarios

    catalogue = load_scenarios(folder)
    screen = console(stderr=True)
    for problem in catalogue.problems:
        screen.print(f"left out: {escape_unprintable(str(problem))}", style="yellow", markup=False, soft_wrap=True)
    return catalogue


def status_with(catalogue: Catalogue, status: int) -> int:
    """Return an exit status, or that of a wrong command line if a scenario file was left out."""
    from mta_sts_lab.reports.summary import USAGE, worst_exit

    return worst_exit((status, USAGE)) if catalogue.problems else status
