"""`sts-lab diff`: what is different between two runs. Everything heavy is imported where it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab.cli.output import console, say_document


def diff(
    before: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run, or its id: how it was.")],
    after: Annotated[str, typer.Argument(metavar="RUN", help="Another one: how it is.")],
    out: Annotated[Path, typer.Option("--out", help="Where runs are looked for by their ids.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON, and nothing else.")] = False,
) -> None:
    """Say what is different between two runs.

    That is verdicts, the findings behind them and those of the run, cases that only one has, and versions.

    Exit status: 0 no case is different, and no finding of the run, 1 some are.
    """
    from mta_sts_lab.reports.run_diff import diff_document, diff_page, differences
    from mta_sts_lab.reports.verdicts_reading import read_verdicts
    from mta_sts_lab.runs.service import find_run

    first, second = (read_verdicts(find_run(name, out) / "verdicts.json") for name in (before, after))
    if json:
        say_document(diff_document(first, second))
    else:
        console().print(diff_page(first, second))
    raise typer.Exit(1 if differences(first, second) else 0)
