"""A target without the contract: the lab can only send it mail, and read what it prints."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mta_sts_lab.model import About
from mta_sts_lab.targets.contract import NotOffered
from mta_sts_lab.targets.injection import Connect, Inject
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import Deadline


class OwnAnswers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `mta_sts_lab.model.About` of a target that cannot be asked for it."""

    name: str
    capabilities: tuple[str, ...] = ()
    retry_seconds: float = 0.0


class BareTarget(RemoteTarget):
    """A `Target` without hooks. `output` is the file of what it printed: its log."""

    def __init__(self, answers: OwnAnswers, output: Path, inject: Inject, connect: Connect) -> None:
        super().__init__("127.0.0.1", inject=inject, connect=connect)
        self._answers = answers
        self._output = output

    async def about(self) -> About:
        """See `Target`."""
        own = self._answers
        return About(own.name, capabilities=own.capabilities, retry_seconds=own.retry_seconds)

    async def logs(self) -> str:
        """See `Target`."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    async def _call(self, method: str, path: str, body: bytes, largest: int, deadline: Deadline | None = None) -> bytes:
        raise NotOffered(f"{method} {path}: the target has no hooks")
