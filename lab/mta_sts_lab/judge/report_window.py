"""The time that a report is about: from one call for reports to the next, on the day that the report names.

A report names a day by the target's clock, and the record keeps the lab's. Both clocks began together, and the lab
knows by how much it has moved the target's since.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from mta_sts_lab.events import ClockAdvanced, Event, Fact, ReportsAsked, ReportsLeft
from mta_sts_lab.judge.policy_lookups import began_at
from mta_sts_lab.judge.view import CaseView

_Fact = TypeVar("_Fact", bound=Fact)

#: Seconds within which a sender counts a session that has ended. Milliseconds, unless the machine is very busy.
COUNTED_WITHIN = 1.0

#: Seconds by which two clocks that are set by the same time service may differ, with room to spare.
_CLOCKS_DIFFER = 60.0

DAY = 86400.0


def to_midnight(now: float) -> float:
    """Return the seconds until the next midnight in UTC; `now` is in seconds since 1970."""
    return DAY - now % DAY


@dataclass(frozen=True, slots=True)
class TargetClock:
    """What the clock shows by which the target's reporter names days, as far as the record knows it.

    `began` is in seconds since 1970. `moves` say when the clock was moved forward, by how many seconds, and by when
    that was done. `is_calendar`: it is the calendar of a reporter whose day ends when it is asked for its reports, and
    at no other time. Once a page was turned, it is known to show a time soon after midnight.
    """

    began: float
    moves: tuple[tuple[float, float, float], ...] = ()
    is_calendar: bool = False

    def passed(self, at: float) -> float:
        """Return the seconds that have passed on the clock since the record's began."""
        return at + sum(seconds for moved, seconds, _ in self.moves if moved <= at)

    def shows(self, at: float) -> tuple[float, float]:
        """Return between which two times, in seconds since 1970, the clock stood at a point of the record."""
        earliest = latest = self.began + at
        turned = False
        for moved, seconds, done in self.moves:
            latest += seconds if moved <= at else 0.0
            earliest += seconds if done <= at else 0.0
            turned = turned or (self.is_calendar and done <= at)
        return earliest - (0.0 if turned else _CLOCKS_DIFFER), latest + _CLOCKS_DIFFER


def clock_of(view: CaseView) -> TargetClock | None:
    """Return the clock of the target of a run; None if the record does not say when its own began."""
    try:
        began = datetime.fromisoformat(view.clock_began).timestamp()
    except ValueError:
        return None
    if not view.about.reports_end_the_day:
        advanced = view.of_run.of_kind(ClockAdvanced)
        moves = ((began_at(event, fact), float(fact.seconds), event.at) for event, fact in advanced)
        return TargetClock(began, tuple(moves))
    pages: list[tuple[float, float, float]] = []
    for event, _ in view.of_run.of_kind(ReportsAsked):
        turned = to_midnight(began + event.at + sum(seconds for _, seconds, _ in pages))
        pages.append((event.at, turned, answered(view, event.at)))
    return TargetClock(began, tuple(pages), is_calendar=True)


def answered(view: CaseView, asked: float) -> float:
    """Return when the target said that all reports had left for which it was asked at a time; then, if it never did."""
    return next((event.at for event, _ in view.of_run.of_kind(ReportsLeft) if event.at >= asked), asked)


@dataclass(frozen=True, slots=True)
class Day:
    """The date range of a report, in seconds since 1970; `ends` is past its last moment."""

    begins: float
    ends: float
    clock: TargetClock

    def holds(self, at: float) -> tuple[bool, bool]:
        """Return whether a point of the record may lie within it, and whether it does for certain."""
        earliest, latest = self.clock.shows(at)
        return latest >= self.begins and earliest < self.ends, self.begins <= earliest and latest < self.ends

    def touches(self, began: float, ended: float) -> bool:
        """Return whether the time between two points of the record may be in it, or a part of that time."""
        return self.clock.shows(ended)[1] >= self.begins and self.clock.shows(began)[0] < self.ends


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one report: after the reports before it were asked for, before it came, and on its day.

    What happens while the target makes its reports may be in these or in the next ones: only what began after
    `settled`, and had ended when the report was asked for, must be in this one. Without a `day` it is not known, or
    it is the wrong one.
    """

    after: float
    until: float
    day: Day | None = None
    settled: float = -math.inf
    asked: float = math.inf
    #: Whether there is something to report, and the report's date range does not include it.
    wrong_day: bool = False
    #: The earlier day that a report names which comes late: nothing happened on it between the two calls.
    own_day: Day | None = None

    def within(self, found: Iterable[tuple[Event, _Fact]]) -> list[tuple[Event, _Fact]]:
        """Return the facts that may lie in that time."""
        return [one for one in found if self.may_count(one[0].at, one[0].at)]

    def may_count(self, began: float, ended: float) -> bool:
        """Whether what began and ended at two points of the record may be in the report."""
        if began > self.until or ended <= self.after - COUNTED_WITHIN:
            return False
        return self.day is None or self.day.holds(began)[0] or self.day.holds(ended + COUNTED_WITHIN)[0]

    def may_be_about(self, began: float, ended: float) -> bool:
        """Whether a report may be about a time. One that comes a day late answers a call, and is about its own day."""
        if self.own_day is None:
            return self.may_count(began, ended)
        return began <= self.until and self.own_day.touches(began, ended)

    def counts(self, began: float, ended: float) -> bool:
        """Whether it must be in this report, and in no other."""
        if began <= max(self.after, self.settled) or ended > min(self.until, self.asked):
            return False
        return self.day is None or (self.day.holds(began)[1] and self.day.holds(ended)[1])
