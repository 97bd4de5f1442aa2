"""Changes to the target itself, a restart or a new time: made once for all arms of a scenario."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mta_sts_lab.events import ClockAdvanced, TargetRestarted
from mta_sts_lab.model import Case, Step
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.runner.report_call import ask_for_reports
from mta_sts_lab.targets.contract import MailSession, Target, TargetError


def arms_of_changing_cases(cases: Sequence[Case]) -> list[list[Case]]:
    """Group the cases that change the target: the modes of one scenario and vector share a change."""
    arms: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.changes_target:
            arms.setdefault((case.scenario, case.vector), []).append(case)
    return list(arms.values())


class TargetChange:
    """A change to the target that several arms make together: the last to arrive makes it, the others wait."""

    def __init__(self, target: Target, watch: QueueWatch, recorder: Recorder, arms: Sequence[str]) -> None:
        self._target = target
        self._watch = watch
        self._recorder = recorder
        self._arms = tuple(arms)
        self._barrier = asyncio.Barrier(len(arms))
        self._failed: TargetError | None = None

    async def make(self, step: Step) -> None:
        """Restart the target or move its clock, once for all arms. Raises `TargetError`, in every arm."""
        await self._once(lambda: self._change(step))

    async def reports(self) -> None:
        """Have the target send its reports, once for all arms."""
        await self._once(lambda: ask_for_reports(self._target, self._recorder, self._arms))

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
            # The first arm to hear of a failure leaves, which breaks the barrier under those that are still on their
            # way out of it: what they have to hear is why.
            if self._failed is None:
                raise
        if self._failed is not None:
            raise self._failed

    async def leave(self) -> None:
        """An arm that failed does not come to the barrier again: the others must not wait for it."""
        await self._barrier.abort()

    async def _change(self, step: Step) -> None:
        async with self._watch.set_aside():
            if step.restart:
                outlived = await _restart(self._target, step.restart)
                self._recorder.write(TargetRestarted(signal=step.restart, outlived=outlived))
            if step.advance:
                await self._target.advance(step.advance)
                self._recorder.write(ClockAdvanced(seconds=step.advance))


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
