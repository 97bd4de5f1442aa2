"""What a run shows, for demonstrations: the conclusions of its cases, and lessons made of it."""

from __future__ import annotations

from pathlib import Path

from mta_sts_lab.judge import views_of
from mta_sts_lab.model import Scenario
from mta_sts_lab.reports.conclusion import Conclusion, conclude
from mta_sts_lab.reports.lesson.page import Lesson, lesson_html, lesson_of
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.service import RunResult
from mta_sts_lab.whole_files import write_whole


def conclusions_of(result: RunResult) -> tuple[Conclusion, ...]:
    """Return what each case of a run shows, in the record's order."""
    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    views = views_of(result.record, load_requirements())
    return tuple(conclude(view, verdicts[view.case.id]) for view in views)


def lesson_of_scenario(result: RunResult, scenario: Scenario) -> Lesson:
    """Return the lesson of a scenario whose cases were played in a run, those that were asked for."""
    played = {verdict.case for verdict in result.verdicts if not verdict.control_only}
    own = {case.id for case in scenario.cases} & played
    views = [view for view in views_of(result.record, load_requirements()) if view.case.id in own]
    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    conclusions = [conclude(view, verdicts[view.case.id]) for view in views]
    return lesson_of(scenario, views, conclusions, result.record.events)


def write_lesson(path: Path, lesson: Lesson) -> None:
    """Write a lesson page. Raises `UsageError` where that is not possible."""
    try:
        write_whole(path, lesson_html(lesson).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{path}: the page cannot be written: {error.strerror}") from error
