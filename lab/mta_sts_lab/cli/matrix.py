"""`sts-lab matrix`: what was typed, and where the table goes. Everything heavy is imported where it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab.cli.output import aside, console, say

Runs = Annotated[list[str], typer.Argument(metavar="RUN", help="Folders of runs, or their ids.")]
Out = Annotated[Path, typer.Option("--out", help="Where runs are looked for by their ids.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown, and nothing else.")]
Json = Annotated[bool, typer.Option("--json", help="Print the table as JSON, and nothing else.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one page with the evidence in it.")]
Brief = Annotated[bool, typer.Option("--brief", help="A line a family instead of a line a case.")]
EveryCase = Annotated[bool, typer.Option("--all", help="Also list the cases in which nobody has a finding.")]


def matrix(
    runs: Runs,
    out: Out = Path("runs"),
    markdown: Markdown = False,
    json: Json = False,
    html: Html = None,
    brief: Brief = False,
    every_case: EveryCase = False,
) -> None:
    """Put the verdicts of several runs into one table.

    The targets stand beside each other, the worst first.

    The exit status says whether the table could be made, not what is in it.
    """
    from mta_sts_lab.runs.errors import UsageError
    from mta_sts_lab.runs.judged_runs import find_runs, table_of, write_page

    if markdown and json:
        raise UsageError("--markdown and --json both print to stdout: choose one")
    found = find_runs(runs, out, lambda text: aside(console(stderr=True), text))
    table = table_of(found)
    if html is not None:
        write_page(html, table, found)
        aside(console(stderr=True), f"page: {html} (open it in a browser; it needs no server)")
    if json:
        from mta_sts_lab.reports.matrix.matrix_json import matrix_document
        from mta_sts_lab.reports.writers.verdicts_json import encode

        say(encode(matrix_document(table)).decode())
    elif markdown:
        from mta_sts_lab.reports.matrix.markdown import matrix_markdown

        say(matrix_markdown(table, every_case, brief))
    elif html is None:
        from mta_sts_lab.reports.matrix.terminal import matrix_page

        console().print(matrix_page(table, every_case, brief))
