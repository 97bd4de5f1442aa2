"""Where a run's record goes, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mta_sts_lab.events import Event
from mta_sts_lab.record import Footer, Header


@dataclass(frozen=True, slots=True)
class Outlet:
    """Callbacks that take a record piece by piece, for a file, a progress display or standard output."""

    header: Callable[[Header], None]
    event: Callable[[Event], None]
    footer: Callable[[Footer], None]
    #: Takes a file about the target that is stored beside the record: its name (`log.txt`) and its text.
    target_file: Callable[[str, str], None]
