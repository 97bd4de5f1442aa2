"""The lines of decided cases end where nobody can read them, and the run goes on."""

from __future__ import annotations

import io
import threading

import pytest
from mta_sts_lab.cli.deciding import DecidedLines
from mta_sts_lab.cli.output import OutputClosed, OutputFull
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.runs import load_shipped_catalogue
from rich.console import Console

from tests.reports.records import strip_record


class Broken(Console):
    """A terminal that takes no line."""

    def __init__(self, error: Exception) -> None:
        super().__init__(file=io.StringIO(), force_terminal=True)
        self.error = error
        self.asked = threading.Event()

    def print(self, *objects: object, **options: object) -> None:
        self.asked.set()
        raise self.error


@pytest.mark.parametrize("error", [OutputFull("the output cannot be written"), OutputClosed()], ids=["full", "closed"])
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_output_that_cannot_be_written_ends_the_lines_and_nothing_else(error: Exception) -> None:
    record = strip_record(leaking_enforce=True)
    screen = Broken(error)
    lines = DecidedLines(screen)
    catalogue = load_shipped_catalogue()
    lines.begin(
        plan_run(catalogue.find([one.id for one in record.header.cases]), catalogue.cases, ("pytest",), 1),
        record.header,
        (),
    )
    for event in record.events:
        lines.event(event)
    assert screen.asked.wait(10), "no case was decided"
    lines.end()
