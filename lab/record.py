"""The append-only record of a run: a header, one event a line, and a footer with counts.

A record without its footer was cut short (the program was killed, the disk was full) and is refused: what is missing
at its end might have been the clear text that fails a case.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from lab.events import AnyFact, Event, LabFailed
from lab.model import Case

_Kind = TypeVar("_Kind")

#: Raised whenever a record of an older program can no longer be judged as it stands.
RECORD_VERSION = 1

#: Octets. The whole catalogue against Postfix leaves about 8 MiB; a record beyond this is not ours.
LARGEST_RECORD = 1 << 30


class RecordError(Exception):
    """A record that cannot be judged: missing, truncated, of another version or not a record at all."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: what was run, by what, against what. `cases` makes a record complete in itself."""

    record: int
    run: str
    started: str
    command: tuple[str, ...]
    versions: dict[str, str]
    target: dict[str, str]
    capabilities: tuple[str, ...]
    #: Seconds that the target lets pass, at the least, before it tries a message again.
    retry_seconds: float
    seed: int
    cases: tuple[Case, ...]


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


class Recorder:
    """Writes the record of a running lab, and lets the runner wait for what it is told.

    Every part of the lab writes through one recorder, so all events share one clock and one numbering.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._number = 0
        self._kinds: Counter[str] = Counter()
        self._steps: dict[str, str] = {}
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._changed: dict[str, asyncio.Event] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event, in order: those so far at once, those to come as they happen."""
        for event in sorted((event for events in self._events.values() for event in events), key=lambda e: e.number):
            listener(event)
        self._listeners.append(listener)

    def enter_step(self, case: str, step: str) -> None:
        """Attribute the case's events to this step from now on."""
        self._steps[case] = step

    def step_of(self, case: str) -> str:
        """Return the step that the case's events are attributed to now."""
        return self._steps.get(case, "")

    def write(self, fact: AnyFact, case: str = "") -> Event:
        """Append a fact about a case (or, without one, about the whole run) and wake whoever waits for that case."""
        self._number += 1
        event = Event(
            number=self._number,
            at=round(self._clock() - self._began, 6),
            fact=fact,
            case=case,
            step=self._steps.get(case, ""),
        )
        self._kinds[type(fact).__name__] += 1
        self._events[case].append(event)
        for listener in self._listeners:
            listener(event)
        if case in self._changed:
            self._changed[case].set()
        return event

    def lab_failed(self, where: str, error: BaseException, case: str = "") -> None:
        """Record an exception of the lab's own: it makes the case (or the run) a `lab-error`, never a verdict."""
        self.write(LabFailed(where=where, error=f"{type(error).__name__}: {error}"), case)

    def of_case(self, case: str) -> list[Event]:
        """Return what was recorded of a case so far (empty string: of the whole run). Do not change the list."""
        return self._events[case]

    async def changed(self, case: str, seconds: float) -> bool:
        """Wait until the case's next event. Return False when none came within so many seconds."""
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

    Used as a context manager it always leaves a footer: an incomplete one if the run did not bring its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: BinaryIO = path.open("wb")
        self._encoder = msgspec.json.Encoder()
        self._kinds: Counter[str] = Counter()
        self._begun = False
        self._ended = False

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun and not self._ended:
            self.footer(Footer(RECORD_VERSION, self._kinds.total(), complete=False, kinds=dict(self._kinds)))
        self._stream.close()

    def header(self, header: Header) -> None:
        """Write the first line."""
        self._begun = True
        self._append(header)

    def event(self, event: Event) -> None:
        """Write one event."""
        self._kinds[type(event.fact).__name__] += 1
        self._append(event)

    def footer(self, footer: Footer) -> None:
        """Write the last line."""
        self._ended = True
        self._append(footer)

    def _append(self, line: Header | Event | Footer) -> None:
        self._stream.write(self._encoder.encode(line) + b"\n")
        self._stream.flush()


def read_record(path: Path) -> Record:
    """Read a whole record back.

    Raises `RecordError`, with the line and what is wrong there, for anything that is not a complete record.
    """
    try:
        if path.stat().st_size > LARGEST_RECORD:
            raise RecordError(f"{path}: larger than {LARGEST_RECORD} octets; this is not a record of ours")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_record([line for line in lines if line], str(path))


def parse_record(lines: list[bytes], where: str) -> Record:
    """Turn the lines of a record into a `Record`; see `read_record`."""
    if len(lines) < 2:
        raise RecordError(f"{where}: truncated: a record has at least a header and a footer")
    header = _decode(lines[0], Header, f"{where}, line 1")
    if header.record != RECORD_VERSION:
        raise RecordError(f"{where}: version {header.record} of the record format; this program reads {RECORD_VERSION}")
    try:
        footer = msgspec.json.decode(lines[-1], type=Footer)
    except msgspec.MsgspecError:
        raise RecordError(f"{where}: truncated: the last line is no footer; repeat the run") from None
    events = tuple(_decode(line, Event, f"{where}, line {number}") for number, line in enumerate(lines[1:-1], start=2))
    _check_counts(events, footer, where)
    return Record(header, events, footer)


def _decode(line: bytes, kind: type[_Kind], where: str) -> _Kind:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise RecordError(f"{where}: {error}") from error


def _check_counts(events: Iterable[Event], footer: Footer, where: str) -> None:
    kinds = Counter(type(event.fact).__name__ for event in events)
    if sum(kinds.values()) != footer.events or dict(kinds) != footer.kinds:
        raise RecordError(f"{where}: the footer counts {footer.events} events, {sum(kinds.values())} are there")
