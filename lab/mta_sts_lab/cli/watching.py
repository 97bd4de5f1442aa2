"""Who looks on while a run is made: a progress line on a terminal, and what is said by the way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mta_sts_lab.cli.output import aside
from mta_sts_lab.reports.progress import Progress
from mta_sts_lab.runs.workflow import Watcher

if TYPE_CHECKING:
    from rich.console import Console

    from mta_sts_lab.events import Event
    from mta_sts_lab.runner.plan import Plan


@contextlib.contextmanager
def watched(screen: Console, target: str = "", place: str = "") -> Iterator[Watcher]:
    """Show how a run is going, until it has ended. `target` and `place` ("2 of 3") tell it from others."""
    with contextlib.ExitStack() as stack:
        shown: list[Progress] = []

        def planned(plan: Plan) -> None:
            title = f"{target}, {place}" if target else ""
            shown.append(stack.enter_context(Progress(screen, {case.id for case in plan.cases}, title)))

        def seen(event: Event) -> None:
            shown[0].on_event(event)

        def said(text: str) -> None:
            aside(screen, f"{target}: {text}" if target else text)

        yield Watcher(planned, seen, said)
