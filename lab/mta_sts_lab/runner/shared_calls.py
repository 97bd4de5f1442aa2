"""Calls to the target that several cases share: its reports, a restart, a new time.

Reports are asked for seldom, because one call makes the target report on all that it counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mta_sts_lab.events import ClockAdvanced, ReportsAsked, ReportsLeft, TargetFailed, TargetRestarted
from mta_sts_lab.model import Case, Step
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.pacing import Gate
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.targets.contract import MailSession, Target, TargetError


def cases_by_change(cases: Sequence[Case]) -> list[list[Case]]:
    """Group the cases that change the target: the modes of one scenario and vector share a change."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.changes_target:
            groups.setdefault((case.scenario, case.vector), []).append(case)
    return list(groups.values())


class TargetChange:
    """A change to the target that several cases share: the last case to get there makes it, the others wait."""

    def __init__(self, target: Target, watch: QueueWatch, recorder: Recorder, cases: Sequence[str]) -> None:
        self._target = target
        self._watch = watch
        self._recorder = recorder
        self._cases = tuple(cases)
        self._barrier = asyncio.Barrier(len(cases))
        self._failed: TargetError | None = None

    async def make(self, step: Step) -> None:
        """Restart the target or move its clock, once for all. Raises `TargetError`, in every case."""
        await self._once(lambda: self._change(step))

    async def reports(self) -> None:
        """Have the target send its reports, once for all."""
        await self._once(lambda: ask_for_reports(self._target, self._recorder, self._cases))

    async def _once(self, work: Callable[[], Awaitable[None]]) -> None:
        position = await self._barrier.wait()
        if position == 0:
            try:
                await work()
            except TargetError as error:
                self._failed = error
        try:
            await self._barrier.wait()
        except asyncio.BrokenBarrierError:
            # The first case that sees the failure leaves the barrier, which breaks it for the others. They raise the
            # same error.
            if self._failed is None:
                raise
        if self._failed is not None:
            raise self._failed

    async def leave(self) -> None:
        """Take a case that failed out of the barrier, so that the others do not wait for it."""
        await self._barrier.abort()

    async def _change(self, step: Step) -> None:
        async with self._watch.set_aside():
            if step.restart:
                asked = self._recorder.now()
                outlived = await _restart(self._target, step.restart)
                self._recorder.write(TargetRestarted(signal=step.restart, outlived=outlived, asked=asked))
            if step.advance:
                asked = self._recorder.now()
                await self._target.advance(step.advance)
                self._recorder.write(ClockAdvanced(seconds=step.advance, asked=asked))


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


async def ask_for_reports(target: Target, recorder: Recorder, owed: Sequence[str]) -> None:
    """Ask for all reports that are due. The target returns when they have left.

    A target that does not offer this call proves nothing about the cases that expect a report.
    """
    recorder.write(ReportsAsked())
    try:
        await target.reports()
    except TargetError as error:
        for case in owed:
            recorder.write(TargetFailed(what=f"reports were asked for: {error}"), case)
    else:
        recorder.write(ReportsLeft())


class ReportCall:
    """The report calls that all ordinary cases share: made when each of them has ended or waits for the call.

    The world and the attacks of a waiting case are active while the reports are sent.
    """

    def __init__(self, target: Target, recorder: Recorder, cases: Sequence[Case], claimed: bool) -> None:
        self._target = target
        self._recorder = recorder
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
            await ask_for_reports(self._target, self._recorder, self._owed)

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
            await ask_for_reports(self._target, self._recorder, self._owed)
        except Exception as error:  # noqa: BLE001 - on record as a lab error, which no verdict survives as a pass
            self._recorder.lab_failed("asking for reports", error)
        finally:
            self._playing.update(asking)
            for case in asking:
                waiting = self._waiting.get(case)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
