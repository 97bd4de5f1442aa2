"""A time in which nobody asks for an attempt, so that it is seen what the target does by itself."""

from __future__ import annotations

import math
import time

from mta_sts_lab.events import DnsAnswered, Event, MessageInjected, QueueSeen


class QuietTime:
    """Begins when the message of a step waits, and is over after so many `seconds`, or with an attempt of the target's.

    A target that shows no queue does not say that a message waits: then it is over at twice the time from the
    injection. `latest` is on the clock of `time.monotonic`; after it there is no quiet in any case.
    """

    def __init__(self, case: str, step: str, seconds: float, latest: float) -> None:
        self._of = (case, step)
        self._seconds = seconds
        self._end = latest
        self._waits = False

    def see(self, event: Event) -> None:
        """Take in what happened."""
        if (event.case, event.step) != self._of:
            return
        now = time.monotonic()
        match event.fact:
            case MessageInjected():
                self._end = min(self._end, now + 2 * self._seconds)
            case QueueSeen(state="deferred") if not self._waits:
                self._waits = True
                self._end = min(self._end, now + self._seconds)
            case DnsAnswered(type="MX") if self._waits:
                self._end = -math.inf

    def over(self) -> bool:
        """Whether attempts may be asked for."""
        return time.monotonic() >= self._end
