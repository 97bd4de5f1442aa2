"""The record of the lab's container, as the engine gives it out: in pieces that do not end with lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import docker.errors
import pytest
from mta_sts_lab.backends.docker.output import Output
from mta_sts_lab.backends.docker.run import follow_record
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.events import CaseEnded, Event
from mta_sts_lab.record import encoded

from tests.runner.arena import Kept

EVENTS = [Event(number, float(number), CaseEnded(), f"case {number}", "") for number in range(1, 5)]
WHOLE = b"".join(encoded(event) for event in EVENTS)
Piece = tuple[bytes | None, bytes | None]


class Stream:
    """What the client of the engine makes of an attachment."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Piece]:
        yield from self._pieces

    def close(self) -> None:
        self.closed.set()


class Broken(Stream):
    """One that the engine breaks off."""

    def __iter__(self) -> Iterator[Piece]:
        yield from self._pieces
        raise docker.errors.APIError("gone")


class Container:
    """A container that prints a text, and says something on standard error in the midst of it."""

    def __init__(self, text: bytes, size: int) -> None:
        pieces: list[Piece] = [(text[start : start + size], None) for start in range(0, len(text), size)]
        pieces[1:1] = [(None, b"sts-lab: some"), (None, b"thing is wrong\n")]
        self.stream: Stream = Stream(pieces)

    def attach(self, *, stdout: bool, stderr: bool, stream: bool, demux: bool) -> Stream:
        assert (stdout, stderr, stream, demux) == (True, True, True, True)
        return self.stream


def _followed(output: Output) -> tuple[list[Event], int]:
    kept, begun, calls = Kept(), threading.Event(), [0]

    def begin() -> None:
        calls[0] += 1

    follow_record(output, kept.outlet(), begun, begin)
    return kept.events, calls[0]


@pytest.mark.parametrize("size", [1, 50, len(WHOLE)])
def test_each_line_is_passed_on_once(size: int) -> None:
    container = Container(WHOLE, size)
    output = Output(container)
    assert _followed(output) == (EVENTS, 1)
    assert output.said() == "sts-lab: something is wrong"
    assert container.stream.closed.is_set()


def test_what_breaks_the_reading_off_is_raised_where_the_lines_are_read() -> None:
    container = Container(WHOLE, 50)
    container.stream = Broken([(WHOLE, None)])
    with pytest.raises(docker.errors.APIError, match="gone"):
        _followed(Output(container))
    assert container.stream.closed.is_set()


def test_what_is_no_record_is_an_error_of_the_lab() -> None:
    broken = WHOLE.replace(b'"case":"case 3"', b'"ca', 1)
    with pytest.raises(BackendError, match="no part of a record"):
        _followed(Output(Container(broken, 50)))
