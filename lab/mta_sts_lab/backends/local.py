"""Backends whose world is built in this process: only the bringing-up of the target is theirs."""

from __future__ import annotations

import asyncio
import signal
import threading
from abc import abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from mta_sts_lab.backends.registry import Backend, Job

if TYPE_CHECKING:
    from mta_sts_lab.runner.run import RunningWorld, RunSetup
    from mta_sts_lab.targets.contract import Target


class LocalBackend(Backend):
    """A backend that has to say only how a target is brought up in a world: `start`."""

    @abstractmethod
    async def start(self, world: RunningWorld, job: Job) -> Target:
        """Bring the target up. It is closed at the end of the run. Raises `TargetError`."""

    def play(self, job: Job) -> str | None:
        """See `Backend`."""
        run_interruptibly(self.play_here(job))
        return None

    async def play_here(self, job: Job) -> None:
        """Play as `play` does, in an event loop that runs already."""
        from mta_sts_lab.adapter_check.run import play_plan

        await play_plan(job.plan, self.setup(), lambda world: self.start(world, job), job.outlet)

    def setup(self) -> RunSetup:
        """Return where the world of a run is built."""
        from mta_sts_lab.runner.run import RunSetup

        return RunSetup()


def run_interruptibly(work: Coroutine[Any, Any, None]) -> None:
    """Run an event loop that SIGTERM ends by cancelling its work, as asyncio itself does for Ctrl-C.

    An exception out of a signal handler could come up anywhere in the loop's work. Raises `KeyboardInterrupt`.
    """

    async def working() -> None:
        task = asyncio.current_task()
        assert task is not None
        if in_main_thread:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        asyncio.run(working())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)
