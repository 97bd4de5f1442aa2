"""The course: its lessons as data (`course.toml`), and its index page."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab import __version__
from mta_sts_lab.reports.lesson.page import Lesson, Place
from mta_sts_lab.reports.pages import content_hash, environment, read_part

#: What the pages of a course are made of, beside the scenarios.
_PARTS = ("course.toml", "course.html.jinja", "page.html.jinja", "page.css", "page.js")


@dataclass(frozen=True, slots=True)
class CourseLesson:
    """A lesson of the course: its page, its scenario, and what is said before it and asked behind it."""

    file: str
    scenario: str
    introduction: tuple[str, ...]
    questions: tuple[str, ...]
    vector: str = ""

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.file}.html"


@dataclass(frozen=True, slots=True)
class Course:
    """The lessons in their order."""

    title: str
    introduction: tuple[str, ...]
    lessons: tuple[CourseLesson, ...]

    def place(self, number: int) -> Place:
        """Return the place of a lesson, counted from 0."""
        lesson = self.lessons[number]
        before = self.lessons[number - 1].page if number else ""
        after = self.lessons[number + 1].page if number + 1 < len(self.lessons) else ""
        return Place(number + 1, len(self.lessons), lesson.introduction, lesson.questions, before, after)


def read_course() -> Course:
    """Return the course that comes with the lab."""
    data = tomllib.loads(_part("course.toml"))
    lessons = tuple(
        CourseLesson(
            one["file"],
            one["scenario"],
            tuple(one["introduction"]),
            tuple(one["questions"]),
            one.get("vector", ""),
        )
        for one in data["lesson"]
    )
    return Course(data["title"], tuple(data["introduction"]), lessons)


def index_html(course: Course, lessons: Sequence[Lesson], digest: str) -> str:
    """Return the index page. `digest` says what the course was made from, as `course_digest` does."""
    style = f"\n{_part('page.css')}"
    return (
        environment(__package__)
        .get_template("course.html.jinja")
        .render(
            course=course,
            lessons=list(zip(course.lessons, lessons, strict=True)),
            style=style,
            style_hash=content_hash(style),
            digest=digest,
            made_by=f"mta-sts-lab {__version__}",
        )
    )


def course_digest(course: Course, paths: Mapping[str, Path]) -> str:
    """Return a digest of all that the pages are made of; `paths` are the files of the scenarios, by their ids."""
    digest = hashlib.sha256()
    for name in _PARTS:
        digest.update(_part(name).encode())
    for lesson in course.lessons:
        digest.update(paths[lesson.scenario].read_bytes())
    return digest.hexdigest()


def _part(name: str) -> str:
    return read_part(__package__, name)
