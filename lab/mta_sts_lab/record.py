"""The append-only record of a run: a header, one event a line, and a footer with counts. `record_reading` reads it."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from mta_sts_lab.events import AnyFact, CaseBegan, Event, LabFailed
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.target import About
from mta_sts_lab.model.world import Family

if TYPE_CHECKING:
    import asyncio

#: Raised whenever the format changes. `record_reading` knows which versions are still read.
RECORD_VERSION = 5


class RecordError(Exception):
    """A record that cannot be judged: missing, truncated, of another version or not a record at all."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: what was run, by what, against what. `cases` makes a record complete in itself."""

    record: int
    run: str
    started: str
    command: tuple[str, ...]
    versions: dict[str, str]
    seed: int
    cases: tuple[Case, ...]
    #: What the target said about itself.
    about: About
    #: Whether nothing but mail was asked of the target: what it could not show then is not missing.
    black_box: bool = False
    #: When the clock of the record stood at 0 (RFC 3339). The run itself was started before its target was built.
    clock_began: str = ""
    #: The runs that were merged into this record, in the order of their events; empty: it is the record of one run.
    parts: tuple[Part, ...] = ()
    #: Which shard of a selection was played; null: all of it.
    shard: Shard | None = None
    #: A digest of the catalogue; runs of different catalogues are not merged.
    catalogue: str = ""
    #: The families in which every host of the world had an address.
    families: tuple[Family, ...] = (Family.IPV4,)
    #: A digest of the files that were laid over the target or installed into it; empty if there were none.
    own_files: str = ""

    @property
    def lab_version(self) -> str:
        """The version of the lab that played the run."""
        return self.versions.get("mta-sts-lab", "?")


class Shard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the shares into which a selection was divided, to be played by runs of their own and merged."""

    #: From 1 to `total`.
    number: int
    total: int
    #: How many of the shards have cases: fewer than `total` where there is too little to divide.
    filled: int
    #: How many cases were selected for all shards together, and a digest of what they say.
    cases: int
    digest: str


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run that was merged into a record: its own header, and how many of the events are its."""

    header: Header
    events: int


class Footer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line: how the run ended. `complete` is false after an interrupt."""

    footer: int
    events: int
    complete: bool
    kinds: dict[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read back, whole."""

    header: Header
    events: tuple[Event, ...]
    footer: Footer

    def runs(self) -> tuple[Record, ...]:
        """Return the records of the runs that were merged into this one; itself if it is the record of one run.

        Each run has its own clock, names and tokens, so each is judged by itself. The numbers of events stay.
        """
        runs: list[Record] = []
        began = 0
        for part in self.header.parts:
            runs.append(Record(part.header, self.events[began : began + part.events], self.footer))
            began += part.events
        return tuple(runs) or (self,)

    def judged_events(self) -> dict[str, list[Event]]:
        """Return the events of each case: those of its last play, which is the one that is judged.

        A control case may be in several runs; it is judged by the one in which it was selected, or by the last.
        """
        found: dict[str, list[Event]] = {case.id: [] for case in self.header.cases}
        selected: set[str] = set()
        for run in self.runs():
            events: dict[str, list[Event]] = {case.id: [] for case in run.header.cases}
            for event in run.events:
                if event.case in events:
                    events[event.case].append(event)
            for case, played in events.items():
                control_only = any(isinstance(event.fact, CaseBegan) and event.fact.control_only for event in played)
                if case not in selected or not control_only:
                    found[case] = played
                if not control_only:
                    selected.add(case)
        return found


class Recorder:
    """Writes the record of a running lab, and lets the runner wait for what it is told.

    Every part of the lab writes through one recorder, so all events share one clock and one numbering.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        #: When the clock of the record stood at 0.
        self.clock_began = datetime.now(UTC)
        self._number = 0
        self._kinds: Counter[str] = Counter()
        self._steps: dict[str, str] = {}
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._changed: dict[str, asyncio.Event] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self._failed: set[str] = set()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event, in order: those so far at once, those to come as they happen."""
        for event in sorted((event for events in self._events.values() for event in events), key=lambda e: e.number):
            listener(event)
        self._listeners.append(listener)

    def forget(self, listener: Callable[[Event], None]) -> None:
        """Call a listener no more."""
        self._listeners.remove(listener)

    def enter_step(self, case: str, step: str) -> None:
        """Attribute the case's events to this step from now on."""
        self._steps[case] = step

    def step_of(self, case: str) -> str:
        """Return the step that the case's events are attributed to now."""
        return self._steps.get(case, "")

    def now(self) -> float:
        """Return what the clock of the record shows: the seconds of `Event.at`."""
        return round(self._clock() - self._began, 6)

    def write(self, fact: AnyFact, case: str = "") -> Event:
        """Append a fact about a case (or, without one, about the whole run) and wake whoever waits for that case."""
        self._number += 1
        event = Event(
            number=self._number,
            at=self.now(),
            fact=fact,
            case=case,
            step=self._steps.get(case, ""),
        )
        self._kinds[type(fact).__name__] += 1
        self._events[case].append(event)
        if isinstance(fact, LabFailed):
            self._failed.add(case)
        for listener in self._listeners:
            listener(event)
        if case in self._changed:
            self._changed[case].set()
        return event

    def lab_failed(self, where: str, error: BaseException, case: str = "", session: str = "") -> None:
        """Record an exception of the lab's own: it makes the case (or the run) a `lab-error`, never a verdict."""
        self.write(LabFailed(where=where, error=f"{type(error).__name__}: {error}", session=session), case)

    def has_failed(self, case: str) -> bool:
        """Whether the lab has failed in this case, or in the run as a whole."""
        return "" in self._failed or case in self._failed

    def of_case(self, case: str) -> list[Event]:
        """Return what was recorded of a case so far (empty string: of the whole run). Do not change the list."""
        return self._events[case]

    async def changed(self, case: str, seconds: float) -> bool:
        """Wait until the case's next event. Return False when none came within so many seconds."""
        import asyncio  # here, because half the time that it takes to load the judge would be asyncio's

        waiter = self._changed.setdefault(case, asyncio.Event())
        waiter.clear()
        try:
            async with asyncio.timeout(seconds):
                await waiter.wait()
        except TimeoutError:
            return False
        return True

    def footer(self, complete: bool) -> Footer:
        """Return the last line for what was written so far."""
        return Footer(footer=RECORD_VERSION, events=self._number, complete=complete, kinds=dict(self._kinds))


class RecordFile:
    """`record.jsonl` while it is being written: what happened is on disk before the next thing happens.

    Used as a context manager it always leaves a footer behind a header: an incomplete one if the run did not bring its
    own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: BinaryIO = path.open("wb")
        self._begun = False
        self._ended = False

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the file as it is now, for good; see the class. Raises `OSError` when the disk is full."""
        try:
            if self._begun and not self._ended:
                self._mark_incomplete()
        finally:
            self._stream.close()

    @property
    def begun(self) -> bool:
        """Whether there is anything in the file: a run that never came as far leaves no record."""
        return self._begun

    def header(self, header: Header) -> None:
        """Write the first line."""
        self._begun = True
        self._append(header)

    def event(self, event: Event) -> None:
        """Write one event."""
        self._append(event)

    def footer(self, footer: Footer) -> None:
        """Write the last line. A run that broke off before its first line leaves none at all."""
        if self._begun:
            self._append(footer)
            self._ended = True

    def _mark_incomplete(self) -> None:
        """Count what the file holds: an interrupt can come between any two instructions, so no other count is safe."""
        self._stream.flush()
        lines = self.path.read_bytes().split(b"\n")[1:-1]
        if lines and lines[-1].startswith(b'{"footer":'):
            return
        kinds = Counter(type(msgspec.json.decode(line, type=Event).fact).__name__ for line in lines)
        self.footer(Footer(RECORD_VERSION, kinds.total(), complete=False, kinds=dict(kinds)))

    def _append(self, line: Header | Event | Footer) -> None:
        self._stream.write(encoded(line))
        self._stream.flush()


_ENCODER = msgspec.json.Encoder()


def encoded(line: Header | Event | Footer) -> bytes:
    """Return a line of a record, with its line feed."""
    try:
        return _ENCODER.encode(line) + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate: octets that were no text, from a target or from the system. Not worth losing an event for.
        return json.dumps(msgspec.to_builtins(line), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
