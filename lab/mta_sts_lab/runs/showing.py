"""What a run shows, for demonstrations: the conclusions of its cases, and lessons made of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.judge import views_of
from mta_sts_lab.model.case import Scenario
from mta_sts_lab.reports.conclusion import Conclusion, conclude
from mta_sts_lab.reports.lesson.course import Course, course_digest, index_html
from mta_sts_lab.reports.lesson.page import Lesson, Place, lesson_html, lesson_of
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.scenarios import find_scenario
from mta_sts_lab.runs.service import RunResult
from mta_sts_lab.whole_files import write_whole


def conclusions_of(result: RunResult) -> tuple[Conclusion, ...]:
    """Return what each case of a run shows, in the record's order."""
    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    views = views_of(result.record, load_requirements())
    return tuple(conclude(view, verdicts[view.case.id]) for view in views)


def lesson_of_scenario(result: RunResult, scenario: Scenario, cases: Collection[str] = ()) -> Lesson:
    """Return the lesson of a scenario that was played in a run: of some of its cases, or of all that were asked for."""
    played = set(cases) or {verdict.case for verdict in result.verdicts if not verdict.control_only}
    own = {case.id for case in scenario.cases} & played
    views = [view for view in views_of(result.record, load_requirements()) if view.case.id in own]
    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    conclusions = [conclude(view, verdicts[view.case.id]) for view in views]
    return lesson_of(scenario, views, conclusions, result.record.events)


def write_lesson(path: Path, lesson: Lesson, place: Place | None = None) -> None:
    """Write a lesson page. Raises `UsageError` where that is not possible."""
    _write(path, lesson_html(lesson, place))


def cases_of_course(catalogue: Catalogue, course: Course) -> dict[str, tuple[str, ...]]:
    """Return the cases of each lesson's scenario, by its page."""
    return {one.page: find_scenario(catalogue, one.scenario, one.vector)[1] for one in course.lessons}


def write_course(folder: Path, course: Course, result: RunResult, catalogue: Catalogue) -> None:
    """Write the pages of a course whose cases were played in a run. Raises `UsageError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: the folder cannot be made: {error.strerror}") from error
    cases = cases_of_course(catalogue, course)
    lessons = [lesson_of_scenario(result, catalogue.scenario(one.scenario), cases[one.page]) for one in course.lessons]
    for number, (one, lesson) in enumerate(zip(course.lessons, lessons, strict=True)):
        write_lesson(folder / one.page, lesson, course.place(number))
    _write(folder / "index.html", index_html(course, lessons, digest_of_course(course, catalogue)))


def digest_of_course(course: Course, catalogue: Catalogue) -> str:
    """Return a digest of what the pages of a course are made of."""
    return course_digest(course, {one.scenario: Path(catalogue.scenario(one.scenario).path) for one in course.lessons})


def _write(path: Path, page: str) -> None:
    try:
        write_whole(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{path}: the page cannot be written: {error.strerror}") from error
