"""What a run shows, for demonstrations: the conclusions of its cases."""

from __future__ import annotations

from mta_sts_lab.judge import views_of
from mta_sts_lab.reports.conclusion import Conclusion, conclude
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs.service import RunResult


def conclusions_of(result: RunResult) -> tuple[Conclusion, ...]:
    """Return what each case of a run shows, in the record's order."""
    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    views = views_of(result.record, load_requirements())
    return tuple(conclude(view, verdicts[view.case.id]) for view in views)
