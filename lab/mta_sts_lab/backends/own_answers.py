"""A target without the contract: the lab can only send it mail, and read what it prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mta_sts_lab.backends.served_plan import OwnAnswers
from mta_sts_lab.model.target import About
from mta_sts_lab.targets.contract import NotOffered, TargetError
from mta_sts_lab.targets.injection import Connect, Inject
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import Deadline


class BareTarget(RemoteTarget):
    """A `Target` without hooks.

    `output` is the file of what it printed, its log; None: that is kept elsewhere. `ended` is as in `RemoteTarget`.
    """

    def __init__(
        self,
        host: str,
        answers: OwnAnswers,
        output: Path | None,
        inject: Inject,
        connect: Connect | None = None,
        ended: Callable[[], str] = str,
    ) -> None:
        super().__init__(host, inject=inject, connect=connect, ended=ended)
        self._answers = answers
        self._output = output

    async def about(self) -> About:
        """See `Target`."""
        own = self._answers
        return About(own.name, capabilities=own.capabilities, retry_seconds=own.retry_seconds)

    async def logs(self) -> str:
        """See `Target`."""
        if self._output is None:
            raise NotOffered("GET /logs: the target has no hooks")
        return self._output.read_text(encoding="utf-8", errors="replace")

    async def _call(self, method: str, path: str, body: bytes, largest: int, deadline: Deadline | None = None) -> bytes:
        if ended := self.ended():
            raise TargetError(ended)
        raise NotOffered(f"{method} {path}: the target has no hooks")
