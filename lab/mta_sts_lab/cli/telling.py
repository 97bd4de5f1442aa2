"""Says on the terminal what came of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta_sts_lab.cli.output import aside

if TYPE_CHECKING:
    from rich.console import Console

    from mta_sts_lab.runs.workflow import RunResult

#: A run of more cases that expect reports prints none of them: nobody would read so many.
MOST_REPORTS = 6


def tell_reports(screen: Console, finished: RunResult, most: int | None = None) -> None:
    """Print the TLS reports that arrived beside what the lab saw, unless there are too many to read."""
    from mta_sts_lab.judge import views_of
    from mta_sts_lab.judge.comparison import compare_reports
    from mta_sts_lab.reports.terminal import report_page
    from mta_sts_lab.requirements import load_requirements

    words = {verdict.case: verdict for verdict in finished.verdicts}
    views = [view for view in views_of(finished.record, load_requirements()) if view.case.judges_reports]
    found = [one for view in views for one in compare_reports(view, words[view.case.id].judgements)]
    if found and (most is None or len(views) <= most):
        screen.print(report_page(found))


def tell_findings(screen: Console, finished: RunResult) -> None:
    """Print a block a finding, and the line that counts."""
    from mta_sts_lab.reports.terminal import Evidence, findings, summary_page
    from mta_sts_lab.requirements import load_requirements

    screen.print(
        findings(
            finished.verdicts,
            Evidence.of(finished.record, finished.folder),
            load_requirements(),
            finished.accounts,
        )
    )
    screen.print(summary_page(finished.summary))
    aside(screen, f"record and verdicts: {finished.folder}/")


def tell_changes(screen: Console, before: dict[str, str], finished: RunResult) -> None:
    """Print which verdicts are not what they were when the run was judged last."""
    now = {verdict.case: verdict.grade.value for verdict in finished.verdicts}
    changed = [case for case, word in before.items() if now.get(case) != word]
    for case in changed:
        screen.print(f"{case}: was {before[case]}, is {now.get(case, 'gone')}", markup=False)
    if before and not changed:
        screen.print("no verdict changed", style="dim")
