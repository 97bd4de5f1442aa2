"""Runs the runner in a container: reads the plan from a file and prints the record to standard output.

In Docker that is the lab's own container. A prefix of its network is made local to it (with CAP_NET_ADMIN, inside its
own namespace), so that every address of the world is a real one there. The target is reached over the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mta_sts_lab.adapter_check.run import OwnWords, play_plan
from mta_sts_lab.backends.capturing import capturing
from mta_sts_lab.backends.own_answers import BareTarget
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.backends.served_plan import JOIN_IPV6, PLACE, PLAN, PROCESSOR_TIME, OwnAnswers, ServedPlan
from mta_sts_lab.events import Event
from mta_sts_lab.record import Footer, Header, encoded
from mta_sts_lab.runner.context import OVER_THE_NETWORK
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.run import RunningWorld, RunSetup
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import HOOKS_READY, TARGET_READY, Deadline
from mta_sts_lab.world.network import PrefixNetwork
from mta_sts_lab.world.pki import Authority

#: Seconds between two checks whether a target is up.
_READY_POLL = 0.1

#: Seconds for which a line of the record may wait for others. Who looks on does not see it, and each time something is
#: printed, the engine and two processes work.
_GATHERED = 0.05


def play_served_plan() -> None:
    """Play the plan that the host left in the container. Raises `TargetError` if the target never comes up."""
    served = msgspec.json.decode(PLAN.read_bytes(), type=ServedPlan)
    authority = Authority.load((PLACE / "ca.pem").read_bytes(), _key())
    try:
        asyncio.run(_play_until_stopped(served, authority))
    except asyncio.CancelledError:
        # `docker stop`: the footer of the record says that it is incomplete.
        raise SystemExit(128 + signal.SIGTERM) from None
    finally:
        PROCESSOR_TIME.write_text(f"{time.process_time():.3f}\n", encoding="utf-8")


def _key() -> bytes:
    """Read the key of the run's CA from standard input, to the end of its PEM text: it is never in a file."""
    lines: list[bytes] = []
    while not lines or not lines[-1].startswith(b"-----END"):
        if not (line := sys.stdin.buffer.readline()):
            break
        lines.append(line)
    return b"".join(lines)


async def _play_until_stopped(served: ServedPlan, authority: Authority) -> None:
    playing = asyncio.ensure_future(play_here(served, authority, standard_output(_keep), PLACE))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    await playing


async def play_here(served: ServedPlan, authority: Authority, outlet: Outlet, folder: Path) -> None:
    """Play in the network of this container. A capture goes into `folder`. Raises `TargetError`, `BackendError`."""
    if served.ipv6 is not None:
        link = served.ipv6
        await _command("sh", "-c", JOIN_IPV6, "sh", link.own, link.target, link.target_hardware)
    for prefix in served.prefixes.values():
        await _command(shutil.which("ip") or "ip", "route", "replace", "local", prefix, "dev", "lo")

    async def start(_: RunningWorld) -> RemoteTarget:
        if served.own_answers is not None:
            return await _reached(served, served.own_answers)
        target = RemoteTarget(served.target_address, inject=served.inject, contract_port=served.contract_port)
        if not served.plan.checks_adapter:
            deadline = Deadline(TARGET_READY.name, served.ready_seconds)
            await wait_until_ready(target, deadline, lambda one: _keep_log(one, outlet))
        return target

    network = PrefixNetwork(*served.prefixes.values())
    setup = RunSetup(network, served.prefixes, authority, OVER_THE_NETWORK)
    words = OwnWords(served.diagnoses, served.judged_as_it_is)
    async with capturing(folder if served.plan.captures else None, authority):
        await play_plan(served.plan, setup, start, outlet, served.ready_seconds, words)


async def _reached(served: ServedPlan, answers: OwnAnswers) -> RemoteTarget:
    """Return a target when it takes mail, with its hooks if they can be reached. Raises `TargetError`."""
    bare = BareTarget(served.target_address, answers, None, served.inject)
    await wait_until_ready(bare, Deadline(TARGET_READY.name, served.ready_seconds))
    hooks = RemoteTarget(served.target_address, inject=served.inject, contract_port=served.contract_port)
    try:
        # They may come up after the mail server.
        await wait_until_ready(hooks, HOOKS_READY)
    except TargetError:
        return bare
    await bare.close()
    return hooks


async def _command(*command: str) -> None:
    """Change the container's network by a command. Raises `BackendError`."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise BackendError(
            f"the network of the container cannot be set up (NET_ADMIN): {said.decode(errors='replace').strip()}"
        )


async def wait_until_ready(
    target: RemoteTarget, deadline: Deadline, last: Callable[[RemoteTarget], Awaitable[None]] | None = None
) -> None:
    """Wait until the target's contract answers and its SMTP port takes connections.

    A target that never does is closed, after `last`.
    """
    trouble = "its contract does not answer"
    try:
        async with asyncio.timeout(deadline.seconds):
            while True:
                try:
                    await target.about()
                    await target.greet()
                except TargetError as error:
                    trouble = str(error)
                    await asyncio.sleep(_READY_POLL)
                else:
                    return
    except TimeoutError:
        if last is not None:
            await last(target)
        await target.close()
        raise TargetError(f"{deadline.name}: the target is not up after {deadline.seconds:g} s: {trouble}") from None


def standard_output(keep: Callable[[str, str], None]) -> Outlet:
    """Return an outlet that prints the record; `keep` takes the name and the text of the target's files.

    Lines that follow each other within `_GATHERED` seconds are printed together.
    """
    printed = sys.stdout.buffer
    due: list[asyncio.TimerHandle] = []

    def flush() -> None:
        due.clear()
        printed.flush()

    def line(thing: Header | Event | Footer) -> None:
        printed.write(encoded(thing))
        if not due:
            due.append(asyncio.get_running_loop().call_later(_GATHERED, flush))

    def last(footer: Footer) -> None:
        line(footer)
        printed.flush()

    return Outlet(header=line, event=line, footer=last, target_file=keep)


async def _keep_log(target: RemoteTarget, outlet: Outlet) -> None:
    """Store the log of a target that did not come up, if it shows one."""
    with contextlib.suppress(TargetError):
        outlet.target_file("log.txt", await target.logs())


def _keep(name: str, text: str) -> None:
    (PLACE / f"target-{name}").write_text(text, encoding="utf-8")
