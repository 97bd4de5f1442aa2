"""Judges each case while a run goes on, as soon as it and its control case have ended.

A case that expects a TLS report is only decided at the end, when the target has been asked for its reports, and one
that moves the target's clock when all of the record may show whether it moved. Both are left out here. What comes to
light later can still change a verdict: that the lab was late, or another play of the case. The verdicts at the end of
the run are those that count.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from mta_sts_lab.events import CaseEnded, Event, MessageAccepted, TokenRead
from mta_sts_lab.judge import judge
from mta_sts_lab.judge.known_failures import KnownFailure, compare_with_known
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Record
from mta_sts_lab.targets.contract import TLS_RPT

#: Takes the verdict on a case, and what is known of it.
Tell = Callable[[Verdict, Mapping[str, Sequence[str]]], None]


class Deciding:
    """Takes the events of a run, and tells the verdicts in a given order of cases."""

    def __init__(
        self,
        header: Header,
        cases: Sequence[str],
        known: Sequence[KnownFailure],
        requirements: Mapping[str, Requirement],
        tell: Tell,
    ) -> None:
        self._header = header
        self._cases = {case.id: case for case in header.cases}
        reports = TLS_RPT in header.about.capabilities
        self._waiting = deque(case for case in cases if not self._is_last(self._cases[case], reports))
        self._known = known
        self._requirements = requirements
        self._tell = tell
        self._ended: set[str] = set()
        self._of_case: dict[str, list[Event]] = defaultdict(list)
        #: Those of no case, and copies of messages, which may have come to the host of another case.
        self._shared: list[Event] = []

    @staticmethod
    def _is_last(case: Case, reports: bool) -> bool:
        return (reports and case.is_about_reports) or any(step.advance for step in case.steps)

    def event(self, event: Event) -> None:
        """Take the next event in, and tell what is decided by it."""
        shared = not event.case or isinstance(event.fact, MessageAccepted | TokenRead)
        (self._shared if shared else self._of_case[event.case]).append(event)
        if isinstance(event.fact, CaseEnded):
            self._ended.add(event.case)
            while self._waiting and self._is_decided(self._waiting[0]):
                self._judge(self._waiting.popleft())

    def _is_decided(self, case: str) -> bool:
        control = self._cases[case].control
        return case in self._ended and (not control or control in self._ended)

    def _judge(self, case: str) -> None:
        needed = {case, self._cases[case].control} & self._cases.keys()
        of_cases = (event for one in needed for event in self._of_case[one])
        events = tuple(sorted((*of_cases, *self._shared), key=lambda event: event.number))
        cases = tuple(one for one in self._header.cases if one.id in needed)
        footer = Footer(RECORD_VERSION, len(events), complete=True, kinds={})
        record = Record(msgspec.structs.replace(self._header, cases=cases), events, footer)
        verdict = next(one for one in judge(record, self._requirements) if one.case == case)
        self._tell(verdict, compare_with_known([verdict], self._known, [case]).known)
