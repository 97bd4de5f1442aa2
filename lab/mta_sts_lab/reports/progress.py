"""How a run is going, while it is going: one live line on a terminal, and nothing at all in a pipe."""

from __future__ import annotations

from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mta_sts_lab.adapter_check import is_probe
from mta_sts_lab.events import CaseBegan, CaseEnded, Event, LabFailed, StepBegan, TargetFailed
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.layout import page_width

#: A second. Quick enough to look alive, and far below what a terminal over a slow line takes.
_REFRESHES = 8


class Progress:
    """Counts cases as they begin and end. Use it as a context manager and feed it every event of the run."""

    def __init__(self, console: Console, cases: int = 0, title: str = "", *, probes: bool = False) -> None:
        """`cases` is how many will be played, supporting ones too; with `probes` those of an adapter are counted.

        `title` stands before all else.
        """
        self._probes = probes
        self._console = console
        self._cases = cases
        self._title = f"{title}: " if title else ""
        self._steps: dict[str, str] = {}
        self._at = 0.0
        self.begun = 0
        self.ended = 0
        self.trouble = ""
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        """Start the live line, where there is a terminal for it."""
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                refresh_per_second=_REFRESHES,
                transient=True,
                get_renderable=self.line,
                # What others write meanwhile is theirs.
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def phases(self) -> dict[str, int]:
        """How many of the cases under way are in which step."""
        return dict(Counter(self._steps.values()))

    def on_event(self, event: Event) -> None:
        """Take the next event of the run in."""
        self._at = event.at
        if is_probe(event.case) and not self._probes:
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
        """Return the line as it stands."""
        # The display is refreshed from a thread of its own, while events come in: it works on a copy.
        phases = Counter(list(self._steps.values()))
        told = f"{self._title}{self.ended} of {self._cases} cases"
        if self._probes:
            told = f"{self.ended} of {self.begun} probes" if self.begun else "waiting until the target is up"
        if phases:
            told += " (" + ", ".join(f"{step} {count}" for step, count in phases.most_common(4)) + ")"
        told += f"  {self._at:.1f} s"
        room = page_width(self._console.width) - 1
        line = Text(shortened(told, room), no_wrap=True, overflow="ignore")
        if self.trouble:
            line.append(shortened(f"  {self.trouble}", max(room - line.cell_len, 0)), style="yellow")
        return line
