"""A path that nobody passes: connections are refused, reset, or held without a word."""

from __future__ import annotations

import asyncio

from mta_sts_lab.events import AttackFired, ConnectionDenied, DeadlinePassed
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import STALL, Deadline
from mta_sts_lab.world.network import reset
from mta_sts_lab.world.path import Accepted, Host

_DETAILS = {
    "reset": "accepted the connection and broke it with a reset",
    "stall": "accepted the connection and says nothing",
}


class BlockedPath:
    """Blocks a host: `how` is refuse, reset or stall.

    With `refuse` the host does not listen, and no connection ever comes here.
    """

    def __init__(self, attack: str, how: str, recorder: Recorder, deadline: Deadline = STALL) -> None:
        self.refuses = how == "refuse"
        self._attack = attack
        self._how = how
        self._recorder = recorder
        self._deadline = deadline
        self._released = asyncio.Event()
        self._held: set[asyncio.Future[None]] = set()

    async def take(self, accepted: Accepted, host: Host) -> None:
        """See `mta_sts_lab.world.path.Path`."""
        if self._how == "reset" or self.refuses:
            # A connection that was on its way when the host stopped listening is no exception to its refusal.
            self._deny(accepted, "reset")
            reset(accepted.sock)
            return
        self._deny(accepted, "stalled")
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.add(over)
        try:
            async with asyncio.timeout(self._deadline.seconds):
                await self._released.wait()
        except TimeoutError:
            name, seconds = self._deadline.name, self._deadline.seconds
            waited_for = f"the end of the step that stalls {accepted.host}"
            self._recorder.write(DeadlinePassed(deadline=name, seconds=seconds, waited_for=waited_for), accepted.case)
        finally:
            reset(accepted.sock)
            self._held.discard(over)
            over.set_result(None)

    def _deny(self, accepted: Accepted, how: str) -> None:
        self._recorder.write(
            ConnectionDenied(
                session=accepted.session,
                role=accepted.role,
                host=accepted.host,
                address=accepted.address,
                port=accepted.port,
                how=how,
            ),
            accepted.case,
        )
        detail = _DETAILS["stall" if how == "stalled" else how]
        fact = AttackFired(attack=self._attack, channel="https", detail=detail, session=accepted.session)
        self._recorder.write(fact, accepted.case)

    async def close(self) -> None:
        """Let go of what is stalled."""
        self._released.set()
        if self._held:
            await asyncio.wait(set(self._held))
