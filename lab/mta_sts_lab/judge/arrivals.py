"""The TLS reports of a case as they arrived: parsed from their octets, each with the time that it is about."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from mta_sts_lab.events import ConnectionAccepted, ConnectionDenied, Event, ReportReceived, ReportsAsked, ReportsLeft
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.report_window import Day, Window, answered, clock_of
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.rfc.published import ReportPlaces, place_of, wanted_places
from mta_sts_lab.tlsrpt import ParsedReport, parse_report

#: The media type of a request without a Content-Type. An empty one would say that it is a file.
NO_MEDIA_TYPE = "none"

_ALWAYS = Window(-math.inf, math.inf)

#: The second with which a day's end is written that is not the next midnight.
_LAST_SECOND = 59


@dataclass(frozen=True, slots=True)
class Arrival:
    """One report that reached the lab, accepted or not, and the time that it is about."""

    event: Event
    fact: ReportReceived
    parsed: ParsedReport
    window: Window = _ALWAYS

    @property
    def taken(self) -> bool:
        """Whether the lab took responsibility for it."""
        return 200 <= self.fact.status < 300

    @property
    def place(self) -> str:
        """Where it arrived, so that it can be compared with where it was wanted."""
        place = self.fact.place if self.fact.transport == "https" else f"mailto:{_escaped(self.fact.place)}"
        return place_of(place)

    @property
    def report_id(self) -> str:
        """Its own identifier; empty if it has none."""
        return (self.parsed.content.report_id or "") if self.parsed.content else ""

    @property
    def written_day(self) -> tuple[str, str]:
        """The date range as it is written."""
        content = self.parsed.content
        start, end = (content.start, content.end) if content else (None, None)
        return (start.text if start else "", end.text if end else "")

    @property
    def day(self) -> tuple[float | str, float | str]:
        """The date range in seconds since 1970, equal for all its spellings; as it is written where it cannot be read.

        The end is past the last moment: 23:59:59 and the next midnight are one.
        """
        content = self.parsed.content
        start = content.start.instant if content and content.start else None
        end = content.end.instant if content and content.end else None
        if start is None or end is None:
            return self.written_day
        return start.timestamp(), end.timestamp() + (1 if end.second == _LAST_SECOND else 0)

    def is_about(self, domain: str) -> bool:
        """Whether one of its blocks is about a domain."""
        return any(a_labels(name) == a_labels(domain) for name in self.parsed.policy_domains)

    def described(self) -> str:
        """Say in a few words what it is and where it came."""
        how = "posted to" if self.fact.transport == "https" else "mailed to"
        return f"a report {how} {self.fact.place}, answered {self.fact.status or 'nothing'}"


@lru_cache(maxsize=4)
def arrivals(view: CaseView) -> tuple[Arrival, ...]:
    """Return what arrived at the places of a case, and what arrived elsewhere and is about its domain, in order.

    A report that is sent again is about the time of its first copy.
    """
    read = [arrival_of(*one) for one in view.facts.of_kind(ReportReceived)]
    stray = [arrival_of(*one) for one in view.of_run.of_kind(ReportReceived)]
    read += [one for one in stray if one.is_about(view.facts.domain)]
    first: dict[tuple[object, ...], Arrival] = {}
    found: list[Arrival] = []
    for one in sorted(read, key=lambda one: one.event.number):
        copied = first.setdefault((one.report_id, one.day), one) if one.report_id else one
        found.append(replace(one, window=_window(view, one, copied.event.at)))
    return tuple(found)


@lru_cache(maxsize=4)
def about_the_case(view: CaseView) -> tuple[Arrival, ...]:
    """Return the arrivals without those that are about the domain of the report mailbox instead (RFC 8460, 3).

    A report about both is returned: the checks find what does not belong in it.
    """
    mail_domain = ReportPlaces(view.facts.domain).mail_domain
    return tuple(one for one in arrivals(view) if one.is_about(view.facts.domain) or not one.is_about(mail_domain))


def wanted(view: CaseView) -> frozenset[str]:
    """Return the places that any step of the case named in a record that counts."""
    worlds = [step.world.reports for step in view.case.steps]
    return frozenset(place for reports in worlds for place in wanted_places(view.facts.domain, reports))


def arrived_at(view: CaseView, arrival: Arrival) -> float | None:
    """Return when a report arrived, in seconds since 1970 by the lab's clock; None if the record does not say."""
    clock = clock_of(view)
    return None if clock is None else clock.began + arrival.event.at


def _window(view: CaseView, arrival: Arrival, came: float) -> Window:
    """Return the time that a report is about: between the call before and the call that it answers, on its day.

    A day on which there was nothing to report is the wrong one, and is left out.
    """
    window = _between_calls(view, came)
    content, clock = arrival.parsed.content, clock_of(view)
    start = content.start.instant if content and content.start else None
    end = content.end.instant if content and content.end else None
    if clock is None or start is None or end is None or start >= end:
        return window
    # The last second of a day is written as 23:59:59, and it is a whole one.
    dated = replace(window, day=Day(start.timestamp(), end.timestamp() + 1, clock))
    if _something_happened(view, dated):
        return dated
    late = _something_happened(view, Window(-1.0, window.until, day=dated.day))
    return replace(window, wrong_day=_something_happened(view, window), own_day=dated.day if late else None)


def _something_happened(view: CaseView, window: Window) -> bool:
    """Whether the target connected to a receiving host within a time, or asked for the policy."""
    reached = [event.at for event, fact in view.facts.of_kind(ConnectionAccepted) if fact.role in RECEIVING]
    reached += [event.at for event, _ in view.facts.of_kind(ConnectionDenied)]
    reached += [event.at for event in view.facts.policy_asked()]
    return any(window.may_count(at, at) for at in reached)


def _between_calls(view: CaseView, came: float) -> Window:
    asked = [event.at for event, _ in view.of_run.of_kind(ReportsAsked) if event.at <= came]
    if not asked:
        return Window(-1.0, came, asked=came)
    until = min(came, answered(view, asked[-1]))
    if len(asked) == 1:
        return Window(-1.0, until, asked=asked[-1])
    return Window(asked[-2], until, settled=answered(view, asked[-2]), asked=asked[-1])


def reports_left(view: CaseView, after: float) -> bool:
    """Whether the target has said, after some point in time, that all reports have left."""
    asked = [event.at for event, _ in view.of_run.of_kind(ReportsAsked) if event.at >= after]
    left = [event.at for event, _ in view.of_run.of_kind(ReportsLeft)]
    return any(at >= asked[0] for at in left) if asked else False


def arrival_of(event: Event, fact: ReportReceived) -> Arrival:
    """Parse a mail or request that arrived at a place for reports. It need not be a report."""
    media_type = (fact.media_type or NO_MEDIA_TYPE) if fact.transport == "https" else None
    return Arrival(event, fact, _parsed(fact.octets, media_type))


@lru_cache(maxsize=512)
def _parsed(octets: bytes, media_type: str | None) -> ParsedReport:
    return parse_report(octets, media_type)


def _escaped(mailbox: str) -> str:
    """A mailbox as it stood in an envelope: nothing of it is percent-encoded, and quotes are its spelling only."""
    local_part, _, domain = mailbox.rpartition("@")
    if local_part.startswith('"') and local_part.endswith('"') and len(local_part) > 1:
        local_part = local_part[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return f"{local_part.replace('%', '%25').replace('?', '%3F')}@{domain}"
