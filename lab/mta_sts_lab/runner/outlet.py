"""Where a record goes while it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mta_sts_lab.events import Event
from mta_sts_lab.record import Footer, Header


@dataclass(frozen=True, slots=True)
class Outlet:
    """Takes a record piece by piece: into a file, to a progress display, or over standard output to another host."""

    header: Callable[[Header], None]
    event: Callable[[Event], None]
    footer: Callable[[Footer], None]
    #: What the target's own log says, taken when all is played: evidence, not part of the record.
    target_log: Callable[[str], None]
