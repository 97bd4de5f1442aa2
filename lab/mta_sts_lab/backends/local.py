"""The base of backends whose world is built in this process. They only start the target."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
from abc import abstractmethod
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from mta_sts_lab.backends.registry import Backend, Job

if TYPE_CHECKING:
    from mta_sts_lab.runner.run import RunningWorld, RunSetup
    from mta_sts_lab.targets.contract import Target


#: The signals that end a run in an orderly way.
ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

#: After so many new objects Python looks for circles of references among them.
_FEW_COLLECTIONS = 20_000

#: So many are taken before the taking down is broken off.
MOST_SIGNALS = 2


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
        from mta_sts_lab.world.network import allow_enough_files

        allow_enough_files()
        await play_plan(job.plan, self.setup(), lambda world: self.start(world, job), job.outlet)

    def setup(self) -> RunSetup:
        """Return the network and the deadlines of a run."""
        from mta_sts_lab.runner.run import RunSetup

        return RunSetup()


@contextlib.contextmanager
def signals_held_back() -> Iterator[list[int]]:
    """Delay Ctrl-C, SIGTERM and SIGHUP; yield the list of those that came.

    At the end each gets the handler that it would have had, or raises `KeyboardInterrupt` where it had none.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number, handler in handlers.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in came:
        handler = handlers[number]
        if not callable(handler):
            raise KeyboardInterrupt(number)
        handler(number, None)


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Let Python look for circles of references seldom: what a run keeps until its end would be looked through again.

    With Python's own threshold that takes a twentieth of the processor time of a run.
    """
    before = gc.get_threshold()
    gc.set_threshold(_FEW_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def run_interruptibly(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in an event loop. Ctrl-C, SIGTERM and SIGHUP cancel it.

    A signal handler must not raise, because that could interrupt any code of the loop. A second signal is ignored while
    everything is taken down; a third breaks that off. Raises `KeyboardInterrupt` with the number of the signal.
    """
    came: list[int] = []

    async def working() -> None:
        task = asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            came.append(number)
            if len(came) == 1:
                task.cancel()
            elif len(came) > MOST_SIGNALS:
                raise KeyboardInterrupt(number)

        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, stop, number)
        await work

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS} if in_main_thread else {}
    try:
        with few_collections():
            asyncio.run(working())
    except asyncio.CancelledError:
        raise KeyboardInterrupt(*came[:1]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
