"""The course: every lesson is played, and the pages in docs/course are made of what is here now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mta_sts_lab.reports.lesson.course import Course, course_digest, index_html, read_course
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.runs.showing import cases_of_course, digest_of_course

from .made import made_lesson

COURSE = read_course()
PAGES = Path(__file__).parents[3] / "docs" / "course"


def test_each_lesson_has_its_scenario_and_a_page_of_its_own() -> None:
    cases = cases_of_course(load_shipped_catalogue(), COURSE)
    assert len(cases) == len(COURSE.lessons) >= 10
    assert all(cases.values())
    assert [lesson.file[:2] for lesson in COURSE.lessons] == [f"{n:02}" for n in range(1, len(COURSE.lessons) + 1)]
    assert all(lesson.introduction and lesson.questions for lesson in COURSE.lessons)


def test_lessons_lead_to_their_neighbours() -> None:
    places = [COURSE.place(number) for number in range(len(COURSE.lessons))]
    assert (places[0].before, places[-1].after) == ("", "")
    assert [place.after for place in places[:-1]] == [lesson.page for lesson in COURSE.lessons[1:]]
    assert [place.before for place in places[1:]] == [lesson.page for lesson in COURSE.lessons[:-1]]


def test_the_index_leads_to_each_page() -> None:
    index = index_html(COURSE, [made_lesson()] * len(COURSE.lessons), "digest")
    assert re.findall(r'href="([\w-]+\.html)"', index) == [lesson.page for lesson in COURSE.lessons]


def test_the_pages_in_the_documents_are_made_of_what_is_here() -> None:
    again = "sts-lab course --html docs/course makes them again"
    index = (PAGES / "index.html").read_text(encoding="utf-8")
    assert f'content="{digest_of_course(COURSE, load_shipped_catalogue())}"' in index, again
    assert {path.name for path in PAGES.iterdir()} == {"index.html", *(lesson.page for lesson in COURSE.lessons)}, again


def test_a_change_of_a_scenario_makes_the_pages_stale(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    small = Course(COURSE.title, (), COURSE.lessons[:1])
    digests = []
    for text in ("one", "two"):
        file.write_text(text)
        digests.append(course_digest(small, {small.lessons[0].scenario: file}))
    assert digests[0] != digests[1]


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.file)
def test_a_page_of_the_course_concludes(lesson: object) -> None:
    page = (PAGES / lesson.page).read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert "What this shows" in page
    assert "The mail server behaved as the RFCs demand" in page
    assert "allows no conclusion" not in page
