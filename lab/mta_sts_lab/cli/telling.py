"""What the terminal shows of a run: how it is going, and what came of it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mta_sts_lab.cli.deciding import DecidedLines
from mta_sts_lab.cli.output import aside, console

if TYPE_CHECKING:
    from rich.console import Console

    from mta_sts_lab.events import Event
    from mta_sts_lab.judge.known_failures import KnownFailure
    from mta_sts_lab.record import Header
    from mta_sts_lab.runner.plan import Plan
    from mta_sts_lab.runs import RunResult, Watcher
    from mta_sts_lab.runs.several import TargetEnded

#: A run of more cases that expect reports prints none of them: nobody would read so many.
MOST_REPORTS = 6


@contextlib.contextmanager
def watched(
    screen: Console, target: str = "", number: str = "", lines: DecidedLines | None = None
) -> Iterator[Watcher]:
    """Show how a run is going, until it has ended. `target` and `number` ("2 of 3") tell it from others.

    With `lines` each case has a line as soon as it is decided.
    """
    from mta_sts_lab.reports.progress import Progress
    from mta_sts_lab.runs import Watcher

    with contextlib.ExitStack() as stack:
        shown: list[Progress] = []
        plans: list[Plan] = []
        if lines is not None:
            stack.callback(lines.end)

        def planned(plan: Plan) -> None:
            plans.append(plan)
            title = f"{target}, {number}" if target else ""
            shown.append(stack.enter_context(Progress(screen, {case.id for case in plan.cases}, title)))

        def begun(header: Header, known: Sequence[KnownFailure]) -> None:
            if lines is not None:
                lines.begin(plans[0], header, known)

        def seen(event: Event) -> None:
            shown[0].on_event(event)
            if lines is not None:
                lines.event(event)

        def said(text: str) -> None:
            aside(screen, f"{target}: {text}" if target else text)

        yield Watcher(planned, begun, seen, said)


def lines_of_cases(screen: Console, *, json: bool) -> DecidedLines | None:
    """Return what prints a line for each case during a run; None where standard output is no terminal, or `--json`."""
    return DecidedLines(screen) if console().is_terminal and not json else None


def tell_reports(screen: Console, result: RunResult, most: int | None = None) -> None:
    """Print the TLS reports that arrived beside what the lab saw, unless there are too many to read."""
    from mta_sts_lab.judge import views_of
    from mta_sts_lab.judge.comparison import compare_reports
    from mta_sts_lab.reports.terminal import report_page
    from mta_sts_lab.requirements import load_requirements

    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    views = [view for view in views_of(result.record, load_requirements()) if view.case.judges_reports]
    found = [one for view in views for one in compare_reports(view, verdicts[view.case.id])]
    if found and (most is None or len(views) <= most):
        screen.print(report_page(found))


def tell_findings(screen: Console, result: RunResult, lines: DecidedLines | None = None) -> None:
    """Print the answer, a block for each finding, and the line that counts.

    A terminal shows a line a case before, but for those that `lines` has printed during the run.
    """
    from mta_sts_lab.reports.answer import answer_page
    from mta_sts_lab.reports.terminal import Evidence, diagnoses_page, findings, summary_page
    from mta_sts_lab.requirements import load_requirements

    if screen.is_terminal:
        (lines or DecidedLines(screen)).tell_the_rest(screen, result)
        screen.print()
    screen.print(diagnoses_page(result.record), end="")
    screen.print(answer_page(result.record, result.verdicts))
    evidence = Evidence.of(result.record, result.folder, result.log)
    screen.print(findings(result.verdicts, evidence, load_requirements(), result.known))
    screen.print(summary_page(result.summary))
    aside(screen, f"record and verdicts: {result.folder}/")


def tell_changes(screen: Console, before: dict[str, str], result: RunResult) -> None:
    """Print which verdicts are not what they were when the run was judged last."""
    now = {verdict.case: verdict.grade.value for verdict in result.verdicts}
    changed = [case for case, grade in before.items() if now.get(case) != grade]
    for case in changed:
        screen.print(f"{case}: was {before[case]}, is {now.get(case, 'gone')}", markup=False)
    if before and not changed:
        screen.print("no verdict changed", style="dim")


def in_short(ended: TargetEnded) -> str:
    """Return in a few words how the run against a target ended."""
    return ended.result.summary.meaning if ended.result else f"not played: {ended.problem.splitlines()[0]}"


def tell_each(screen: Console, ended: Iterable[TargetEnded]) -> None:
    """Print how the run against each target ended, and the command that puts them into one table."""
    from rich.text import Text

    from mta_sts_lab.model.grading import Grade
    from mta_sts_lab.reports.escaping import escape_unprintable
    from mta_sts_lab.reports.terminal import STYLES, summary_line

    folders: list[Path] = []
    for one in ended:
        line = Text(f"{escape_unprintable(one.target)}: ", style="bold")
        if one.result:
            folders.append(one.result.folder)
            line.append_text(summary_line(one.result.summary))
            screen.print(line)
            aside(screen, f"  record and verdicts: {one.result.folder}/")
        else:
            problem = "\n  ".join(escape_unprintable(text) for text in one.problem.splitlines())
            line.append("not played", style=STYLES[Grade.LAB_ERROR])
            line.append(f" (status {one.status}): {problem}", style="none")
            screen.print(line)
    if folders:
        command = shlex.join(["sts-lab", "matrix", *map(str, folders), "--html", "matrix.html"])
        aside(screen, f"\nside by side: {command}")
