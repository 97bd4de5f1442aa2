"""A world that stays up for people to enter: what is printed about it, and how Ctrl-C ends it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from mta_sts_lab.backends.local import ENDING_SIGNALS
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.events import Event, WorldUp


@dataclass(frozen=True, slots=True)
class Doors:
    """How to enter the two sides of a world, as commands; where the CA is, and where the mail server takes mail."""

    target: str
    lab: str
    ca_file: str
    takes_mail: str


@contextlib.contextmanager
def staying(job: Job, doors: Callable[[], Doors], release: Callable[[], None]) -> Iterator[Job]:
    """Yield a job that prints how to enter its world once that is up; the first signal then calls `release`.

    Does nothing to a job whose world does not stay up.
    """
    if not job.plan.stays:
        yield job
        return
    before: dict[int, Any] = {}

    def ended(number: int, _: FrameType | None) -> None:
        for one, handler in before.items():
            signal.signal(one, handler)
        # In a thread: a signal handler interrupts whatever the main thread is reading.
        threading.Thread(target=release, daemon=True).start()

    def event(event: Event) -> None:
        job.outlet.event(event)
        if isinstance(event.fact, WorldUp):
            for line in page(event.case, event.fact, doors()):
                job.say(line)
            if not before and threading.current_thread() is threading.main_thread():
                before.update({number: signal.getsignal(number) for number in ENDING_SIGNALS})
                for number in before:
                    signal.signal(number, ended)

    try:
        yield replace(job, outlet=replace(job.outlet, event=event))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def page(case: str, up: WorldUp, doors: Doors) -> Sequence[str]:
    """Return what is printed about a world that is up."""
    attacks = f"in force: {', '.join(up.attacks)}" if up.attacks else "no attack is in force"
    rows = [
        ("domain", up.domain),
        ("resolver", up.name_server),
        *(("MX", mx) for mx in up.mx),
        *((("policy", up.policy),) if up.policy else ()),
        ("CA file", doors.ca_file),
        ("takes mail", doors.takes_mail),
        ("enter the mail server's side", doors.target),
        ("enter the lab's side", doors.lab),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{case} is up; {attacks}", *(f"  {name:{width}}  {text}" for name, text in rows), "Ctrl-C takes it down"]
