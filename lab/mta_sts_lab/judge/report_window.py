"""The time that a report tells of: from one call for reports to the next, and on the day that the report names.

A report names a day by the target's clock, and the record keeps the lab's. Both clocks began together, and the lab
knows by how much it has moved the target's since.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mta_sts_lab.events import ClockAdvanced, Event, ReportsAsked, ReportsLeft
from mta_sts_lab.judge.view import CaseView

#: Seconds within which a sender counts a session that has ended. Milliseconds, unless the machine is very busy.
COUNTED_WITHIN = 1.0

#: Seconds by which two clocks that are set by the same time service may differ, with room to spare.
_CLOCKS_DIFFER = 60.0

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class TargetClock:
    """What the clock shows by which the target's reporter names days, as far as the record knows it.

    `began` is in seconds since 1970, and `moves` are the times at which it was moved forward, and by how many seconds.
    """

    began: float
    moves: tuple[tuple[float, float], ...] = ()

    def passed(self, at: float) -> float:
        """Return the seconds that have passed on the clock since the record's began."""
        return at + sum(seconds for moved, seconds in self.moves if moved <= at)

    def shows(self, at: float) -> tuple[float, float]:
        """Return between which two times, in seconds since 1970, the clock stood at a point of the record."""
        time = self.began + self.passed(at)
        return time - _CLOCKS_DIFFER, time + _CLOCKS_DIFFER


@dataclass(frozen=True, slots=True)
class Calendar(TargetClock):
    """The clock of a reporter whose day ends when it is asked for its reports, and at no other time.

    `turned` says by when each page was turned: some time between the request and the answer that all reports have left.
    """

    turned: tuple[float, ...] = ()

    def shows(self, at: float) -> tuple[float, float]:
        """See `TargetClock`. Once a page was turned, the calendar is known to show a time soon after midnight."""
        latest = self.began + self.passed(at) + _CLOCKS_DIFFER
        sure = [move for move, by in zip(self.moves, self.turned, strict=True) if by <= at]
        earliest = self.began + at + sum(seconds for _, seconds in sure)
        return earliest if sure else earliest - _CLOCKS_DIFFER, latest


def clock_began(view: CaseView) -> float | None:
    """Return when the clock of the record stood at 0, in seconds since 1970; None if the record does not say."""
    try:
        return datetime.fromisoformat(view.clock_began).timestamp()
    except ValueError:
        return None


def clock_of(view: CaseView) -> TargetClock | None:
    """Return the clock of the target of a run; None if the record does not say when its own began."""
    began = clock_began(view)
    if began is None:
        return None
    if view.about.reports_end_the_day:
        asked = [event.at for event, _ in view.of_run.of_kind(ReportsAsked)]
        return Calendar(began, tuple(_pages(began, asked)), tuple(answered(view, at) for at in asked))
    return TargetClock(began, tuple((event.at, fact.seconds) for event, fact in view.of_run.of_kind(ClockAdvanced)))


def answered(view: CaseView, asked: float) -> float:
    """Return when the target said that all reports had left for which it was asked at a time; then, if it never did."""
    return next((event.at for event, _ in view.of_run.of_kind(ReportsLeft) if event.at >= asked), asked)


def _pages(began: float, calls: list[float]) -> Iterator[tuple[float, float]]:
    """Yield when the calendar's pages were turned, and by how many seconds that moved it: to the next midnight."""
    ahead = 0.0
    for at in calls:
        to_midnight = _DAY - (began + at + ahead) % _DAY
        ahead += to_midnight
        yield at, to_midnight


@dataclass(frozen=True, slots=True)
class Day:
    """The date range of a report, in seconds since 1970; `ends` is past its last moment."""

    begins: float
    ends: float
    clock: TargetClock

    def may_hold(self, at: float) -> bool:
        """Whether a point of the record may lie within it."""
        earliest, latest = self.clock.shows(at)
        return latest >= self.begins and earliest < self.ends

    def holds(self, at: float) -> bool:
        """Whether a point of the record lies within it for certain."""
        earliest, latest = self.clock.shows(at)
        return self.begins <= earliest and latest < self.ends


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one report: after the reports before it were asked for, before it came, and on its day.

    What happens while the target makes its reports may be told in those or in the next ones: only what began after
    `settled`, and had ended when the report was asked for, has to be told here. Without a `day` it is not known, or
    proved wrong.
    """

    after: float
    until: float
    day: Day | None = None
    settled: float = -math.inf
    asked: float = math.inf

    def of(self, events: Iterable[Event]) -> list[Event]:
        """Return the events that may lie in that time."""
        return [event for event in events if self.may_count(event.at, event.at)]

    def may_count(self, began: float, ended: float) -> bool:
        """Whether what began and ended at two points of the record may be told in the report."""
        if began > self.until or ended <= self.after - COUNTED_WITHIN:
            return False
        return self.day is None or self.day.may_hold(began) or self.day.may_hold(ended + COUNTED_WITHIN)

    def counts(self, began: float, ended: float) -> bool:
        """Whether it has to be told there, and nowhere else."""
        if began <= max(self.after, self.settled) or ended > min(self.until, self.asked):
            return False
        return self.day is None or (self.day.holds(began) and self.day.holds(ended))
