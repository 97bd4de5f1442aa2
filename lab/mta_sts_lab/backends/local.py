"""The base of backends whose world is built in this process. They only start the target."""

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
    """A backend whose only own part is `start`, which starts the target in a world."""

    @abstractmethod
    async def start(self, world: RunningWorld, job: Job) -> Target:
        """Start the target. It is closed at the end of the run. Raises `TargetError`."""

    def play(self, job: Job) -> str | None:
        """See `Backend`."""
        run_interruptibly(self.play_here(job))
        return None

    async def play_here(self, job: Job) -> None:
        """Play as `play` does, in an event loop that runs already."""
        from mta_sts_lab.adapter_check.run import play_plan

        await play_plan(job.plan, self.setup(), lambda world: self.start(world, job), job.outlet)

    def setup(self) -> RunSetup:
        """Return the network and the deadlines of a run."""
        from mta_sts_lab.runner.run import RunSetup

        return RunSetup()


def run_interruptibly(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in an event loop. SIGTERM cancels it, as Ctrl-C does.

    A signal handler must not raise, because that could interrupt any code of the loop. Raises `KeyboardInterrupt`.
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
