"""Callbacks that show how a run is going. An exception in one does not stop the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mta_sts_lab.events import Event
from mta_sts_lab.judge.known_failures import KnownFailure
from mta_sts_lab.record import Header
from mta_sts_lab.runner.plan import Plan


@dataclass(frozen=True, slots=True)
class Watcher:
    """Callbacks for what happens during a run. By default they do nothing."""

    planned: Callable[[Plan], None] = lambda _: None
    #: Takes the first line of the record, and the known failures of the target, where the events that follow are all of
    #: the record and may be worked on meanwhile.
    header: Callable[[Header, Sequence[KnownFailure]], None] = lambda _, __: None
    #: Takes each event; of a run in several processes those that show how far cases are, and what failed.
    event: Callable[[Event], None] = lambda _: None
    #: Takes lines of progress to print.
    say: Callable[[str], None] = lambda _: None


@dataclass(slots=True)
class Watching:
    """A watcher that gets no more events once it has raised an exception, which is kept."""

    watcher: Watcher
    _failed: Exception | None = None

    def header(self, header: Header, known: Sequence[KnownFailure]) -> None:
        """Hand the first line of the record to the watcher."""
        self._hand(lambda: self.watcher.header(header, known))

    def event(self, event: Event) -> None:
        """Hand an event to the watcher."""
        self._hand(lambda: self.watcher.event(event))

    def _hand(self, call: Callable[[], None]) -> None:
        if self._failed is None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - raised when the run has ended
                self._failed = error

    def raise_failed(self) -> None:
        """Raise what the watcher raised."""
        if self._failed is not None:
            raise self._failed
