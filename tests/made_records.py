"""The one place where tests put a record together from events that they made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from mta_sts_lab.events import Event
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.target import About
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Record

_HEADER = Header(
    record=RECORD_VERSION,
    run="made-up",
    started="2025-01-06T08:30:00+00:00",
    command=(),
    versions={},
    seed=7,
    cases=(),
    about=About("made up"),
)


def made_record(
    events: Sequence[Event], cases: Iterable[Case], about: About, complete: bool = True, **header: Any
) -> Record:
    """Return the record of these events; `header` sets other members of its first line."""
    kinds = Counter(type(event.fact).__name__ for event in events)
    return Record(
        msgspec.structs.replace(_HEADER, cases=tuple(cases), about=about, **header),
        tuple(events),
        Footer(RECORD_VERSION, len(events), complete, dict(kinds)),
    )
