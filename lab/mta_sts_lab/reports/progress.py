"""How a run is going, while it is going: one live line on a terminal, and nothing in a pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mta_sts_lab.events import CaseBegan, CaseEnded, Event, LabFailed, StepBegan, TargetFailed
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.layout import page_width


class Progress(Live):
    """Counts cases as they begin and end. Use it as a context manager and feed it every event of the run."""

    def __init__(self, console: Console, cases: Collection[str] | None = None, title: str = "") -> None:
        """`cases` are the ids that are counted; None counts the probes of an adapter. `title` stands before all."""
        self._cases = cases
        self._title = f"{title}: " if title else ""
        self._steps: dict[str, str] = {}
        #: The time of the last event on the record's clock, and on this machine's.
        self._at, self._seen = 0.0, time.monotonic()
        self.begun = 0
        self.ended = 0
        self.trouble = ""
        super().__init__(
            console=console,
            refresh_per_second=8,
            transient=True,
            get_renderable=self.line,
            # Others may write to these while the line is shown.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Progress:
        """Start the live line, where there is a terminal for it."""
        if self.console.is_terminal:
            self.start()
        return self

    @property
    def phases(self) -> dict[str, int]:
        """How many of the cases under way are in which step."""
        return dict(Counter(list(self._steps.values())))

    def on_event(self, event: Event) -> None:
        """Take the next event of the run in."""
        self._at, self._seen = event.at, time.monotonic()
        if event.case and self._cases is not None and event.case not in self._cases:
            return
        match event.fact:
            case CaseBegan():
                self.begun += 1
                self._steps[event.case] = "begun"
            case StepBegan():
                self._steps[event.case] = event.step
            case CaseEnded():
                self.ended += 1
                self._steps.pop(event.case, None)
            case LabFailed(where=where):
                self.trouble = f"error in the lab: {where}"
            case TargetFailed(what=what):
                self.trouble = f"the target failed: {what}"
            case _:
                pass

    def line(self) -> Text:
        """Return the line as it stands. A thread of rich calls this while events come in."""
        if self._cases is not None:
            text = f"{self._title}{self.ended} of {len(self._cases)} cases"
        else:
            text = f"{self.ended} of {self.begun} probes" if self.begun else "waiting until the target is up"
        if phases := self.phases:
            text += " (" + ", ".join(f"{step} {count}" for step, count in Counter(phases).most_common(4)) + ")"
        # Also while nothing happens, as when a target comes up: a clock that stands looks like a program that hangs.
        text += f"  {self._at + time.monotonic() - self._seen:.1f} s"
        room = page_width(self.console.width) - 1
        line = Text(shortened(text, room), no_wrap=True, overflow="ignore")
        if self.trouble:
            line.append(shortened(f"  {self.trouble}", max(room - line.cell_len, 0)), style="yellow")
        return line
