"""Reading the record while the lab runs."""

from __future__ import annotations

from typing import TypeVar

from mta_sts_lab.events import Fact
from mta_sts_lab.record import Recorder

_Fact = TypeVar("_Fact", bound=Fact)

#: Seconds. Long enough for a loaded machine; a test that is right never waits for it.
PATIENCE = 10.0


def facts(recorder: Recorder, kind: type[_Fact], case: str = "") -> list[_Fact]:
    """What is on record of one kind."""
    return [event.fact for event in recorder.of_case(case) if isinstance(event.fact, kind)]


async def seen(recorder: Recorder, kind: type[_Fact], case: str = "", count: int = 1) -> list[_Fact]:
    """Wait until so many facts of a kind are on record."""
    while len(found := facts(recorder, kind, case)) < count:
        assert await recorder.changed(case, PATIENCE), f"no {kind.__name__}; there is {recorder.of_case(case)}"
    return found
