"""A lesson made of the record of `tests.reports.records`."""

from __future__ import annotations

from mta_sts_lab.judge import views_of
from mta_sts_lab.record import Record
from mta_sts_lab.reports.lesson.page import Lesson, lesson_of
from mta_sts_lab.requirements import load_requirements

from tests.reports.closing_words import conclusions
from tests.reports.records import SCENARIO, strip_record, strip_verdicts


def made_lesson(leaks: bool = False, record: Record | None = None) -> Lesson:
    """Return the lesson of the four modes; `leaks` has the mail server give in under enforce, too."""
    played = record or strip_record(leaks)
    told = conclusions(strip_record(leaks), strip_verdicts(strip_record(leaks), leaks))
    views = views_of(strip_record(leaks), load_requirements())
    return lesson_of(SCENARIO, views, list(told.values()), played.events)
