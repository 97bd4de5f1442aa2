"""Calls to the target that several cases share: its reports, a restart, a new time.

Reports are asked for seldom, because one call makes the target report on all that it counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from mta_sts_lab.events import ClockAdvanced, ReportsAsked, ReportsLeft, TargetFailed, TargetRestarted
from mta_sts_lab.judge.report_window import to_midnight
from mta_sts_lab.model.case import Case, Step
from mta_sts_lab.model.target import About
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.pacing import Gate
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.targets.contract import MailSession, NotOffered, Target, TargetError

#: Puts on record what is wrong with the hosts that take reports.
LookAtReportHosts = Callable[[], Awaitable[None]]

#: Seconds: three times what the whole catalogue took at most on a target that reports by days (Postfix, on a machine
#: that did other work).
_LONGEST_RUN = 1800.0


def cases_by_change(cases: Sequence[Case]) -> list[list[Case]]:
    """Group the cases that change the target by what they can share.

    One time line serves all cases that only wait for the clock, because each sees as much of it as it asked for and no
    more. A case that has reports sent is alone with the other modes of its scenario, because a call for reports ends
    the day of every other case, and has its reports tried again. So is one that restarts the target, because a restart
    may cost every other case what the target keeps in memory.
    """
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.changes_target:
            alone = any(step.restart or step.reports for step in case.steps)
            groups.setdefault((case.scenario, case.vector) if alone else ("", ""), []).append(case)
    return list(groups.values())


@dataclass(slots=True)
class _Waiting:
    """What a case waits for: a restart by a signal, so many seconds of the target's clock, or its reports."""

    done: asyncio.Future[None]
    restart: str = ""
    advance: int = 0
    reports: bool = False


class TargetChange:
    """The changes to the target that several cases share, each made when all that still play wait for one.

    The clock is advanced by the least that a case waits for. The others go on to wait for the rest of theirs, so an
    advance serves every case that waits for at least that much, and none sees more of it than it asked for.
    """

    def __init__(
        self, target: Target, watch: QueueWatch, recorder: Recorder, look: LookAtReportHosts, cases: Sequence[str]
    ) -> None:
        self._target = target
        self._watch = watch
        self._recorder = recorder
        self._look = look
        self._cases = tuple(cases)
        self._playing = set(cases)
        self._waiting: dict[str, _Waiting] = {}
        self._work: asyncio.Task[None] | None = None

    async def make(self, case: str, step: Step) -> None:
        """Wait until the target was restarted or its clock was moved. Raises `TargetError`, in every case."""
        done = asyncio.get_running_loop().create_future()
        await self._wait(case, _Waiting(done, step.restart, step.advance))

    async def reports(self, case: str) -> None:
        """Wait until the target has sent its reports, once for all."""
        await self._wait(case, _Waiting(asyncio.get_running_loop().create_future(), reports=True))

    def leave(self, case: str) -> None:
        """Take a case that has ended out of the count, so that the others do not wait for it."""
        self._playing.discard(case)
        self._work_when_all_wait()

    async def abandon(self) -> None:
        """Cancel a change that is being made when the run is interrupted."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _wait(self, case: str, waiting: _Waiting) -> None:
        self._waiting[case] = waiting
        self._playing.discard(case)
        try:
            self._work_when_all_wait()
            await waiting.done
        finally:
            self._waiting.pop(case, None)

    def _work_when_all_wait(self) -> None:
        if self._waiting and not self._playing and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._work_for_all(), name="change of the target")

    async def _work_for_all(self) -> None:
        """Make the next change, and again while all still wait for the rest of theirs."""
        while self._waiting and not self._playing:
            try:
                await self._next_change()
            except Exception as error:  # noqa: BLE001 - raised in every case that waits
                self._end_waits(error)
            else:
                self._end_waits()

    async def _next_change(self) -> None:
        """Do what all wait for, or the least of it."""
        all_waiting = list(self._waiting.values())
        first = all_waiting[0]
        if first.reports:
            await ask_for_reports(self._target, self._recorder, self._look, self._cases)
            return
        seconds = min(waiting.advance for waiting in all_waiting)
        await self._change(first.restart, seconds)
        for waiting in all_waiting:
            waiting.restart, waiting.advance = "", waiting.advance - seconds

    def _end_waits(self, error: Exception | None = None) -> None:
        for case, waiting in list(self._waiting.items()):
            if error is None and waiting.advance:
                continue
            self._waiting.pop(case)
            self._playing.add(case)
            if waiting.done.done():
                continue
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)

    async def _change(self, restart: str, advance: int) -> None:
        async with self._watch.set_aside():
            if restart:
                asked = self._recorder.now()
                with self._perhaps_done(TargetRestarted(signal=restart, asked=asked)):
                    outlived = await _restart(self._target, restart)
                self._recorder.write(TargetRestarted(signal=restart, outlived=outlived, asked=asked))
            if advance:
                asked = self._recorder.now()
                with self._perhaps_done(ClockAdvanced(seconds=advance, asked=asked)):
                    await self._target.advance(advance)
                self._recorder.write(ClockAdvanced(seconds=advance, asked=asked))

    @contextlib.contextmanager
    def _perhaps_done(self, change: TargetRestarted | ClockAdvanced) -> Iterator[None]:
        """Record a change that a target broke off: mail that leaves now may leave because it was made all the same."""
        try:
            yield
        except NotOffered:
            raise
        except TargetError:
            self._recorder.write(change)
            raise


async def _restart(target: Target, signal: str) -> bool:
    """Restart a target; return whether an SMTP session that was open before it went on afterwards."""
    session = await target.open_session()
    try:
        await target.restart(signal)
    except BaseException:
        await session.close()
        raise
    return await _alive(session)


async def _alive(session: MailSession) -> bool:
    """Whether a session still answers. It is closed in any case."""
    try:
        await session.reset()
    except TargetError:
        return False
    finally:
        await session.close()
    return True


async def ask_for_reports(target: Target, recorder: Recorder, look: LookAtReportHosts, owed: Sequence[str]) -> None:
    """Ask for all reports that are due. The target returns when they have left.

    A target that does not offer this call proves nothing about the cases that expect a report. Nor does a report that
    is missing where the lab's own hosts could not take it: they are looked at before and after.
    """
    await look()
    recorder.write(ReportsAsked())
    try:
        await target.reports()
    except TargetError as error:
        for case in owed:
            recorder.write(TargetFailed(what=f"reports were asked for: {error}"), case)
    else:
        recorder.write(ReportsLeft())
    await look()


async def end_day_near_midnight(
    target: Target, about: About, recorder: Recorder, look: LookAtReportHosts, cases: Sequence[Case], now: float
) -> None:
    """Ask for reports before the first case, if midnight is so near that the run would go on beyond it.

    What happens within a minute of midnight may be in the report on either day, so neither can be held to it: a run of
    Postfix over midnight lost the findings of twelve cases. A reporter with a calendar of its own is past midnight when
    it has answered, and stays a day away from the next one. `now` is in seconds since 1970.
    """
    near = to_midnight(now) < _LONGEST_RUN
    if near and about.reports_end_the_day and any(case.is_about_reports for case in cases):
        await ask_for_reports(target, recorder, look, ())


class ReportCall:
    """The report calls that all ordinary cases share: made when each of them has ended or waits for the call.

    The world and the attacks of a waiting case are active while the reports are sent.
    """

    def __init__(
        self, target: Target, recorder: Recorder, look: LookAtReportHosts, cases: Sequence[Case], claimed: bool
    ) -> None:
        self._target = target
        self._recorder = recorder
        self._look = look
        self._claimed = claimed
        self._owed = [case.id for case in cases if case.is_about_reports]
        self._playing = {case.id for case in cases}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._call: asyncio.Task[None] | None = None
        self._made = False

    async def wait(self, case: str, gate: Gate) -> None:
        """Wait until the target has sent its reports."""
        if not self._claimed:
            return
        reported = asyncio.get_running_loop().create_future()
        self._waiting[case] = reported
        self._playing.discard(case)
        gate.release()
        try:
            self._call_when_all_wait()
            await reported
        finally:
            self._waiting.pop(case, None)
            await gate.acquire()

    def leave(self, case: str) -> None:
        """Take a case that has ended out of the count."""
        self._playing.discard(case)
        self._call_when_all_wait()

    async def finish(self) -> None:
        """Ask for the last reports, when all cases have ended."""
        if self._call is not None:
            await self._call
        if self._claimed and self._owed and not self._made:
            await ask_for_reports(self._target, self._recorder, self._look, self._owed)

    async def abandon(self) -> None:
        """Cancel a call that is under way when the run is interrupted."""
        if self._call is not None:
            self._call.cancel()
            await asyncio.gather(self._call, return_exceptions=True)

    def _call_when_all_wait(self) -> None:
        if self._waiting and not self._playing and (self._call is None or self._call.done()):
            self._call = asyncio.create_task(self._ask(), name="reports")

    async def _ask(self) -> None:
        self._made = True
        asking = list(self._waiting)
        try:
            await ask_for_reports(self._target, self._recorder, self._look, self._owed)
        except Exception as error:  # noqa: BLE001 - on record as a lab error, which no verdict survives as a pass
            self._recorder.lab_failed("asking for reports", error)
        finally:
            self._playing.update(asking)
            for case in asking:
                waiting = self._waiting.get(case)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
