"""The lesson as one HTML page that needs no server and asks for nothing. Its policy (CSP) lets only its script run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mta_sts_lab import __version__
from mta_sts_lab.events import Event, ReportReceived
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode, Scenario
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.conclusion import Conclusion, closing
from mta_sts_lab.reports.glossary import PUBLISHED
from mta_sts_lab.reports.layout import paragraphs
from mta_sts_lab.reports.lesson.drawing import LANES, ROW, WIDTH
from mta_sts_lab.reports.lesson.report_json import report_json
from mta_sts_lab.reports.lesson.scenes import Moment, Slide, moments_of, slides_of
from mta_sts_lab.reports.pages import content_hash, environment, read_part
from mta_sts_lab.tlsrpt import parse_report

_ORDER = tuple(PUBLISHED)

#: Characters of a report that are shown; the record has it all.
_LONGEST_REPORT = 6000


@dataclass(frozen=True, slots=True)
class Tab:
    """One case of the lesson. `tone` is good, bad or open, for its colour."""

    label: str
    heading: str
    case: str
    conclusion: str
    tone: str
    slides: tuple[Slide, ...]
    #: What arrived as a report about the domain, as text; empty where none did.
    report: str = ""

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All of its moments, in order."""
        return tuple(moment for slide in self.slides for moment in slide.moments)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a lesson page shows."""

    title: str
    scenario: str
    story: tuple[str, ...]
    effect: str
    target: str
    tabs: tuple[Tab, ...]
    closing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a lesson in a course: what is said before it, what is asked behind it, and its neighbours."""

    number: int
    of: int
    introduction: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


def lesson_of(
    scenario: Scenario, views: Sequence[CaseView], conclusions: Sequence[Conclusion], events: Sequence[Event]
) -> Lesson:
    """Return the lesson of a scenario. `events` are those of the whole run, `views` and `conclusions` of its cases."""
    told = {one.case: one for one in conclusions}
    ordered = sorted(views, key=lambda view: (_ORDER.index(view.case.mode), view.case.vector))
    several = len({view.case.vector for view in views}) > 1
    return Lesson(
        scenario.title,
        scenario.id,
        tuple(paragraphs(scenario.story)),
        " ".join(paragraphs(scenario.effect)),
        views[0].about.name,
        tuple(_tab(view, told[view.case.id], events, several) for view in ordered),
        closing([told[view.case.id] for view in views]),
    )


def lesson_html(lesson: Lesson, place: Place | None = None) -> str:
    """Return the page."""
    style, script = f"\n{_part('page.css')}", f"\n{_part('page.js')}"
    return (
        environment(__package__)
        .get_template("page.html.jinja")
        .render(
            lesson=lesson,
            place=place,
            style=style,
            script=script,
            style_hash=content_hash(style),
            script_hash=content_hash(script),
            lanes=LANES,
            row_height=ROW,
            width=WIDTH,
            made_by=f"mta-sts-lab {__version__}",
        )
    )


def _part(name: str) -> str:
    return read_part(__package__, name)


def _tab(view: CaseView, told: Conclusion, events: Sequence[Event], several: bool) -> Tab:
    case = view.case
    mine = [event for event in events if event.case in ("", case.id)]
    mode = "no policy" if case.mode is Mode.ABSENT else case.mode.value
    heading = f"The domain publishes {PUBLISHED[case.mode]}"
    label = f"{mode}, {case.vector}" if several else mode
    bad = told.grade is Grade.FAIL or told.read
    tone = "bad" if bad else "good" if told.grade in (Grade.PASS, Grade.INFO, Grade.WEAK) else "open"
    slides = slides_of(moments_of(mine, case))
    return Tab(label, heading, case.id, told.text, tone, slides, _report(mine))


def _report(events: Sequence[Event]) -> str:
    """Return the last report that arrived, as its JSON."""
    received = [event.fact for event in events if isinstance(event.fact, ReportReceived) and event.fact.octets]
    for fact in reversed(received):
        parsed = parse_report(fact.octets, (fact.media_type or "none") if fact.transport == "https" else None)
        if parsed.content is not None:
            text = report_json(parsed.content)
            return text if len(text) <= _LONGEST_REPORT else text[:_LONGEST_REPORT] + "\n..."
    return ""
