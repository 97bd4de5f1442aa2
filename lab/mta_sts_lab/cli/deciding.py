"""A line for each case on a terminal, as soon as the case is decided, in the order of families."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mta_sts_lab.cli.output import OutputClosed, OutputFull

if TYPE_CHECKING:
    from rich.console import Console

    from mta_sts_lab.events import Event
    from mta_sts_lab.judge.known_failures import KnownFailure
    from mta_sts_lab.model.verdict import Verdict
    from mta_sts_lab.record import Header
    from mta_sts_lab.runner.plan import Plan
    from mta_sts_lab.runs import RunResult


class DecidedLines:
    """Prints the lines from a thread of its own: judging must not keep the run waiting."""

    def __init__(self, screen: Console) -> None:
        """`screen` is that of the live line, which stays below."""
        self._screen = screen
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._told: dict[str, str] = {}

    def begin(self, plan: Plan, header: Header, known: Sequence[KnownFailure]) -> None:
        """Begin to judge; nothing is done on what is no terminal."""
        if not self._screen.is_terminal:
            return
        from mta_sts_lab.reports.deciding import Deciding
        from mta_sts_lab.requirements import load_requirements

        cases = [case.id for case in plan.cases if case.id not in plan.control_only]
        deciding = Deciding(header, cases, known, load_requirements(), self._tell)
        self._thread = threading.Thread(target=self._work, args=(deciding,), name="decides", daemon=True)
        self._thread.start()

    def event(self, event: Event) -> None:
        """Take the next event of the run."""
        if self._thread is not None:
            self._events.put(event)

    def end(self) -> None:
        """Print no more lines. Those that are missing are printed with the result."""
        self._over.set()
        self._events.put(None)
        if self._thread is not None:
            self._thread.join()

    def tell_the_rest(self, screen: Console, result: RunResult) -> None:
        """Print the lines of cases that were not printed, then those that are no longer true."""
        from mta_sts_lab.reports.answer import case_lines

        known = result.known.known
        selected = [one for one in result.verdicts if not one.control_only]
        screen.print(case_lines([one for one in selected if one.case not in self._told], known), end="")
        changed = [one for one in selected if self._told.get(one.case, _said(one, known)) != _said(one, known)]
        if changed:
            screen.print("decided otherwise at the end of the run:", style="dim")
            screen.print(case_lines(changed, known), end="")

    def _work(self, deciding: object) -> None:
        from mta_sts_lab.reports.deciding import Deciding

        assert isinstance(deciding, Deciding)
        while (event := self._events.get()) is not None and not self._over.is_set():
            try:
                deciding.event(event)
            except (OutputClosed, OutputFull):
                return

    def _tell(self, verdict: Verdict, known: Mapping[str, Sequence[str]]) -> None:
        from mta_sts_lab.reports.answer import case_lines

        self._screen.print(case_lines([verdict], known), end="")
        self._told[verdict.case] = _said(verdict, known)


def _said(verdict: Verdict, known: Mapping[str, Sequence[str]]) -> str:
    from mta_sts_lab.reports.answer import phrase_of

    return f"{verdict.grade.value} {phrase_of(verdict)} {verdict.case in known}"
