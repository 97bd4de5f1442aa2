"""Plays a plan against a target that runs in its namespaces already."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec

from mta_sts_lab.adapter_check.run import play_plan
from mta_sts_lab.backends.capturing import capturing
from mta_sts_lab.backends.own_answers import BareTarget
from mta_sts_lab.backends.process.inside import TargetProcesses, in_words
from mta_sts_lab.backends.process.network import NAME_SERVER, TARGET_ADDRESS
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.backends.served import standard_output, wait_until_ready
from mta_sts_lab.backends.served_plan import ProcessPlan
from mta_sts_lab.runner.context import OVER_THE_NETWORK
from mta_sts_lab.runner.run import RunningWorld, RunSetup
from mta_sts_lab.targets.contract import NeverUp, TargetError
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import TARGET_READY, Deadline
from mta_sts_lab.whole_files import write_whole
from mta_sts_lab.world.network import PrefixNetwork
from mta_sts_lab.world.pki import Authority

#: A hint for a user who is not root and whose program ends.
_HINT = " (it ran as an ordinary user: a program that needs root, or changes users, is run with sudo)"


async def play(plan: bytes, processes: TargetProcesses) -> None:
    """Play a `ProcessPlan` in JSON. Raises `TargetError` and `BackendError`."""
    play = _Play(msgspec.json.decode(plan, type=ProcessPlan), processes)
    await play.play()


class _Play:
    """A plan, and the target that it is played against."""

    def __init__(self, plan: ProcessPlan, processes: TargetProcesses) -> None:
        self._plan = plan
        self._served = plan.served
        self._processes = processes

    async def play(self) -> None:
        """See the function of this name."""
        authority = Authority.load(self._plan.ca_pem.encode(), self._plan.ca_key_pem.encode())
        prefixes = self._served.prefixes
        setup = RunSetup(PrefixNetwork(*prefixes.values()), prefixes, authority, OVER_THE_NETWORK)
        folder = Path(self._plan.output).parent
        outlet = standard_output(lambda name, text: write_whole(folder / name, text.encode()))
        async with capturing(folder if self._served.plan.captures else None, authority):
            await play_plan(self._served.plan, setup, self._reach, outlet, self._served.ready_seconds)
        if self._served.plan.checks_adapter and self._processes.gone:
            raise TargetError(f"{self._processes.gone}{self._last_lines()}")

    async def _reach(self, world: RunningWorld) -> RemoteTarget:
        """Return the target when it takes mail. Raises `NeverUp` if it never does, or ends."""
        if world.dns_address != NAME_SERVER:
            raise BackendError(f"the name server is at {world.dns_address}, and the target was told {NAME_SERVER}")
        inject, port, connect = self._served.inject, self._served.contract_port, self._processes.connect
        if self._plan.own_answers is None:
            remote = RemoteTarget(TARGET_ADDRESS, contract_port=port, inject=inject, connect=connect, ended=self._ended)
        else:
            output = Path(self._plan.output)
            remote = BareTarget("127.0.0.1", self._plan.own_answers, output, inject, connect, self._ended)
        if not self._served.plan.checks_adapter:
            await self._wait_until_ready(remote)
        return remote

    def _ended(self) -> str:
        return self._processes.gone

    async def _wait_until_ready(self, remote: RemoteTarget) -> None:
        deadline = Deadline(TARGET_READY.name, self._served.ready_seconds)
        waiting = asyncio.ensure_future(wait_until_ready(remote, deadline))
        ending = asyncio.ensure_future(self._processes.ending.wait())
        await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await remote.close()
            hint = "" if self._plan.root else _HINT
            raise NeverUp(f"{self._processes.gone} before it took mail{hint}{self._last_lines()}")
        try:
            waiting.result()
        except TargetError as error:
            raise NeverUp(f"{self._not_up(str(error))}{self._last_lines()}") from error

    def _not_up(self, trouble: str) -> str:
        """Return what is known of a target that does not accept mail."""
        ports, mail, status = self._processes.network.listening(), self._served.inject.port, self._processes.status
        if mail in ports and self._plan.own_answers is not None:
            seconds = self._served.ready_seconds
            trouble = f"port {mail} is open, and no SMTP greeting came from it within {seconds:g} s"
        elif ports:
            trouble += f"; it listens on port {', '.join(map(str, ports))}"
        else:
            trouble += "; it listens on no port"
        return trouble if status is None else f"{trouble}; its first process ended with {in_words(status)}"

    def _last_lines(self) -> str:
        """Return the end of what the target printed, for a message."""
        with contextlib.suppress(OSError):
            lines = Path(self._plan.output).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return "\n".join(["", *lines[-10:]])
        return ""
