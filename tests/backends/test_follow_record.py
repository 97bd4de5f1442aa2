"""The record of the lab's container, as the engine gives it out: also when it loses a part of a line."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from mta_sts_lab.backends.docker.run import follow_record
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.events import CaseEnded, Event
from mta_sts_lab.record import encoded

from tests.runner.arena import Kept

EVENTS = [Event(number, float(number), CaseEnded(), f"case {number}", "") for number in range(1, 5)]
WHOLE = b"".join(encoded(event) for event in EVENTS)


class Container:
    """A container that has printed `followed`, as an engine says that follows, and `whole`."""

    def __init__(self, followed: bytes, whole: bytes) -> None:
        self._texts = {True: followed, False: whole}
        self.waited = False

    def logs(self, *, stream: bool, follow: bool, stdout: bool, stderr: bool) -> Iterator[bytes]:
        text = self._texts[follow]
        assert (stream, stdout, stderr) == (True, True, False)
        assert follow or self.waited, "read when it may not be whole yet"
        # In pieces that do not end with lines.
        return (text[start : start + 50] for start in range(0, len(text), 50))

    def wait(self) -> None:
        self.waited = True


def _followed(container: Container) -> tuple[list[Event], int]:
    kept, begun, calls = Kept(), threading.Event(), [0]

    def begin() -> None:
        calls[0] += 1

    follow_record(container, kept.outlet(), begun, begin)
    return kept.events, calls[0]


@pytest.mark.parametrize(
    "followed",
    [
        pytest.param(WHOLE, id="whole"),
        pytest.param(WHOLE.replace(b'"case":"case 3"', b'"ca', 1), id="a part of a line is missing"),
        pytest.param(WHOLE.replace(b"\n", b"", 1), id="two lines in one"),
    ],
)
def test_each_line_is_passed_on_once(followed: bytes) -> None:
    assert _followed(Container(followed, WHOLE)) == (EVENTS, 1)


def test_what_is_no_record_is_none_when_it_is_read_again() -> None:
    broken = WHOLE.replace(b'"case":"case 3"', b'"ca', 1)
    with pytest.raises(BackendError, match="no part of a record"):
        _followed(Container(broken, broken))
