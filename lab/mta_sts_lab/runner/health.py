"""Watches the lab itself while cases are played: its event loop, its clock, and whether its hosts still answer.

What is found goes on record. The judge then proves nothing against a target that had to do with a lab in such a state.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable

from mta_sts_lab.events import LabUnhealthy
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.published import LAB_DOMAIN
from mta_sts_lab.runner.witness import Asked, knocks, questions, report_questions, within_time
from mta_sts_lab.timeouts import WITNESS
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.internet import Internet

#: Seconds between two beats, and between two questions to the name server.
_BEAT, _QUESTION = 0.1, 0.5

#: The event loop may have been late for so many of the last seconds. An answer of the lab to a query takes up to three
#: turns of the loop, a report twenty, and senders wait at least 2 s for the one and 5 s for the other: turns of 0.25 s
#: make it late for half of the time.
MOST_LATE, WITHIN = 2.0, 4.0

#: Seconds that a beat may be late without counting: a busy machine takes so long to wake up any process.
_HARMLESS = 0.05

#: Seconds by which the clock may part from the monotonic one.
LARGEST_STEP = 1.0


class Health:
    """The health of one run's lab."""

    def __init__(self, internet: Internet, recorder: Recorder) -> None:
        self._internet = internet
        self._recorder = recorder
        self._last = time.monotonic()
        self._offset = time.time() - self._last
        #: When the loop was late lately, and by how many seconds.
        self._late: deque[tuple[float, float]] = deque()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        #: Whether the name server answered when it was last asked.
        self._names_answered = True
        #: The parts, and names for what of them, that are on record as broken until the end of the run.
        self._broken: set[tuple[str, str]] = set()
        self._told: Callable[[float], None] = lambda _: None

    def on_lag(self, told: Callable[[float], None]) -> None:
        """Call `told` at every beat with the seconds by which the event loop was late."""
        self._told = told

    def start(self) -> None:
        """Begin to watch the loop, the clock and the name server."""
        beat, question = self._beat(), self._ask_name_server()
        self._tasks = (
            asyncio.create_task(beat, name="heartbeat"),
            asyncio.create_task(question, name="witness of the name server"),
        )

    async def stop(self) -> None:
        """End the watch, after a last look."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            self.look()

    def look(self, expected: float = _BEAT) -> None:
        """Take in what has happened to the loop and the clock since the last look, which was to be so long ago."""
        now = time.monotonic()
        lag, self._last = max(0.0, now - self._last - expected), now
        self._look_at_loop(now, max(0.0, lag - _HARMLESS))
        offset = time.time() - time.monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) > LARGEST_STEP:
            observed = f"the machine's clock was moved by {step:+.0f} s"
            self._recorder.write(LabUnhealthy(part="clock", observed=observed, lasting=True))
        self._told(lag)

    def _look_at_loop(self, now: float, lag: float) -> None:
        self._late.append((now, lag))
        while self._late[0][0] < now - WITHIN:
            self._late.popleft()
        late = sum(lag for _, lag in self._late)
        if late > MOST_LATE:
            began = self._late[0][0] - self._late[0][1] - _HARMLESS - _BEAT
            observed = f"the lab's event loop was late for {late:.1f} of {max(late, now - began):.1f} s"
            self._recorder.write(LabUnhealthy(part="event loop", observed=observed, seconds=round(now - began, 3)))
            # What is on record is not counted again.
            self._late.clear()

    async def knock(self, world: CaseWorld) -> None:
        """Connect to each host of a case that should take connections now, and put on record which do not."""
        await self._ask(knocks(world), world.case)

    async def ask(self, world: CaseWorld) -> None:
        """Ask the hosts and names of a case, and put on record what does not answer as it should now.

        That takes two handshakes, as many as the target has with a case.
        """
        await self._ask(questions(world, self._internet.dns), world.case)

    async def ask_report_hosts(self) -> None:
        """Ask the hosts that take reports, and their names, and put on record what does not answer as it should.

        All cases share them. A report that does not come to one of them now may be missing in any case. What is on
        record is not asked again: where nothing answers, each look would cost the run a whole deadline.
        """
        if self._names_answered:
            asked = report_questions(self._internet)
        else:
            # The name server was waited for just now, and without it no report finds its way.
            asked = iter([("name server", f"ns.{LAB_DOMAIN}", _no_answer)])
        await self._ask([one for one in asked if one[:2] not in self._broken], lasting=True)

    async def _ask(self, asked: Iterable[Asked], case: str = "", *, lasting: bool = False) -> None:
        asked_now = tuple(asked)
        # All at once: where nothing answers, one deadline passes and not one for each question.
        answers = await asyncio.gather(*(within_time(question) for _, _, question in asked_now))
        for (part, name, _), wrong in zip(asked_now, answers, strict=True):
            if wrong:
                if lasting:
                    self._broken.add((part, name))
                observed = f"the lab's own look at {name} found: {wrong}"
                self._recorder.write(LabUnhealthy(part=part, observed=observed, lasting=lasting), case)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            self.look()

    async def _ask_name_server(self) -> None:
        while True:
            await asyncio.sleep(_QUESTION)
            wrong = await within_time(self._ask_own_name)
            self._names_answered = not wrong
            if wrong:
                observed = "the lab's name server does not answer"
                self._recorder.write(LabUnhealthy(part="name server", observed=observed, seconds=WITNESS.seconds))

    async def _ask_own_name(self) -> str:
        await self._internet.dns.ask(f"ns.{LAB_DOMAIN}", "A")
        return ""


async def _no_answer() -> str:
    """What is known to be wrong with a name server that is silent."""
    return f"no answer within {WITNESS.seconds:g} s"
