"""The lab's process inside the namespaces: it reads the plan from standard input and prints the record.

The lab has one network namespace, in which all of 198.18.0.0/15 is local. The target has another one, with a route to
that prefix and to nothing else, and `target_init.py` as process 1. Standard input stays open. When it ends, this
process ends, and the kernel then ends all others in the namespaces.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

import msgspec

from mta_sts_lab.backends.process.network import TargetNetwork, target_network
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.targets.contract import NeverUp, TargetError

#: The exit statuses of this program: the target never took mail, it failed, the lab failed, standard input ended.
NEVER_UP, TARGET_FAILED, LAB_FAILED, INTERRUPTED = 5, 4, 3, 130


class Sent(msgspec.Struct, frozen=True):
    """The input of this program: the settings of `target_init.py`, and a `playing.ProcessPlan`."""

    settings: msgspec.Raw
    plan: msgspec.Raw


@dataclass(slots=True)
class TargetProcesses:
    """The target's processes, below `target_init.py`."""

    network: TargetNetwork
    init: asyncio.subprocess.Process
    #: How the target ended by itself; empty while a process of it is left.
    gone: str = ""
    #: Set when `gone` says something.
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    #: The exit status of the command. Processes that it started may go on.
    status: int | None = None
    _following: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, network: TargetNetwork, settings: bytes) -> TargetProcesses:
        """Start the command. Raises `BackendError`."""
        init = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={network.path}"),
            *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(sys.executable, "-I", "-S", str(Path(__file__).with_name("target_init.py"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert init.stdin is not None
        assert init.stdout is not None
        init.stdin.write(settings + b"\n")
        processes = cls(network, init)
        await processes._read_event(init.stdout)
        processes._following = asyncio.ensure_future(processes._follow(init.stdout))
        return processes

    async def connect(self, port: int) -> socket:
        """See `TargetNetwork`. The error says, too, if no process of the target is left."""
        try:
            return await self.network.connect(port)
        except OSError as error:
            if self.gone:
                raise OSError(error.errno, f"{error.strerror}; {self.gone}") from error
            raise

    async def close(self) -> None:
        """End every process of the target."""
        if self.init.returncode is None:
            self.init.kill()
            await self.init.wait()
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self, events: asyncio.StreamReader) -> None:
        try:
            while await self._read_event(events):
                pass
        except BackendError as error:
            self.gone = str(error)
        self.gone = self.gone or "the target's namespaces ended"
        self.ending.set()

    async def _read_event(self, events: asyncio.StreamReader) -> bool:
        line = await events.readline()
        if not line:
            return False
        event = msgspec.json.decode(line)
        if event["event"] == "trouble":
            raise BackendError(event["what"])
        if event["event"] == "ended":
            self.status = event["status"]
        if event["event"] == "gone":
            self.gone = f"the command ended with {in_words(self.status)}"
        return True


def in_words(status: int | None) -> str:
    """Return an exit status in words."""
    return f"signal {signal.Signals(-status).name}" if status is not None and status < 0 else f"status {status}"


async def play_in_namespaces(sent: Sent) -> None:
    """Start the target and play the plan. Raises `TargetError` and `BackendError`."""
    playing = asyncio.current_task()
    assert playing is not None
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _obey, playing)
    async with target_network() as network:
        target = await TargetProcesses.start(network, bytes(sent.settings))
        try:
            # It takes a second to import the rest of the lab. The target comes up meanwhile.
            from mta_sts_lab.backends.process.playing import play

            await play(bytes(sent.plan), target)
        finally:
            await target.close()


def _obey(playing: asyncio.Task[None]) -> None:
    """Take the world down when a line comes on standard input; end at once when that ends."""
    if os.read(sys.stdin.fileno(), 64):
        playing.cancel()
    else:
        os._exit(INTERRUPTED)


def main() -> None:
    """Play the plan of standard input; print errors to standard error."""
    try:
        asyncio.run(play_in_namespaces(msgspec.json.decode(sys.stdin.buffer.readline(), type=Sent)))
    except asyncio.CancelledError:
        # The world was to stay up until somebody ends it.
        raise SystemExit(0) from None
    except (TargetError, BackendError) as error:
        sys.stderr.write(f"{error}\n")
        statuses = ((NeverUp, NEVER_UP), (TargetError, TARGET_FAILED), (BackendError, LAB_FAILED))
        raise SystemExit(next(status for kind, status in statuses if isinstance(error, kind))) from None


if __name__ == "__main__":
    main()
