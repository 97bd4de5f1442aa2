"""A target whose hooks are not used: they count as not offered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mta_sts_lab.model.target import QUEUE_CLOCK, About
from mta_sts_lab.targets.contract import TLS_RPT, Held, MailSession, NotOffered, Target, TargetError

#: The parts of the contract that a target may leave out, by the last part of their path.
OFFERED_PARTS = ("queue", "flush", "restart", "clock", "reports", "logs")

#: What a target cannot show where a part of the contract is hidden: no report without an end of the day, no older
#: queue without a clock.
_NEEDS = {TLS_RPT: "reports", QUEUE_CLOCK: "clock"}


class BlackBox:
    """A `Target` around another one that passes on mail and GET /about, and hides everything else.

    That is the least that any target offers.
    """

    def __init__(self, inside: Target, hidden: Collection[str] = OFFERED_PARTS) -> None:
        self.inside = inside
        self.hidden = set(hidden)

    async def about(self) -> About:
        """See `Target`. A claim that needs a hidden part is set aside: nobody can ask for the end of a day, say."""
        about = await self.inside.about()
        left = tuple(one for one in about.capabilities if _NEEDS.get(one) not in self.hidden)
        return replace(about, capabilities=left, set_aside=tuple(one for one in about.capabilities if one not in left))

    async def greet(self) -> None:
        """See `Target`."""
        await self.inside.greet()

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        """See `Target`."""
        return await self.inside.inject(sender, recipient, message, options)

    async def open_session(self) -> MailSession:
        """See `Target`."""
        return await self.inside.open_session()

    async def queue(self) -> tuple[Held, ...]:
        """See `Target`."""
        self._may("queue")
        return await self.inside.queue()

    async def flush(self) -> None:
        """See `Target`."""
        self._may("flush")
        await self.inside.flush()

    async def restart(self, signal: str) -> None:
        """See `Target`."""
        self._may("restart")
        await self.inside.restart(signal)

    async def advance(self, seconds: int) -> None:
        """See `Target`."""
        self._may("clock")
        await self.inside.advance(seconds)

    async def reports(self) -> None:
        """See `Target`."""
        self._may("reports")
        await self.inside.reports()

    async def logs(self) -> str:
        """See `Target`."""
        self._may("logs")
        return await self.inside.logs()

    def ended(self) -> str:
        """See `Target`."""
        return self.inside.ended()

    async def close(self) -> None:
        """See `Target`."""
        await self.inside.close()

    def _may(self, part: str) -> None:
        if part in self.hidden:
            if ended := self.ended():
                raise TargetError(ended)
            raise NotOffered(f"/{part} is not asked for: the target is looked at as a black box")
