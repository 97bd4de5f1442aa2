"""The runner inside namespaces of its own: the plan comes on standard input, the record leaves on standard output.

The lab has one network namespace, in which all of 198.18.0.0/15 is local. The target has another one, with a route to
that prefix and to nothing else, and `target_init.py` as process 1. Standard input stays open. When it ends, the program
that started this one has gone or wants no more; this one then ends, and the kernel ends all others in the namespaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from OpenSSL import crypto

from mta_sts_lab.adapter_check.run import play_plan
from mta_sts_lab.backends.process.network import TARGET_ADDRESS, TargetNetwork, target_network
from mta_sts_lab.backends.process.own_answers import BareTarget, OwnAnswers
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.backends.served import ServedPlan, standard_output, wait_until_ready
from mta_sts_lab.runner.context import OVER_THE_NETWORK
from mta_sts_lab.runner.run import RunningWorld, RunSetup
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import TARGET_READY, Deadline
from mta_sts_lab.whole_files import write_whole
from mta_sts_lab.world.internet import SENDER_DOMAIN
from mta_sts_lab.world.network import BENCHMARK_BLOCK, PrefixNetwork
from mta_sts_lab.world.pki import Authority

#: Where the hosts of the world are.
WORLD_PREFIX = "198.18.0.0/16"

HOSTNAME = f"mta.{SENDER_DOMAIN}"

#: The run's own files, as the target sees them.
PLACE = "/run/mta-sts-lab"

#: What programs and libraries read the trusted authorities from: OpenSSL and Go, Node.js, requests, curl.
CA_VARIABLES = ("LAB_CA", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

#: As in Docker. Without the others root can change nothing of the machine that is not in the namespaces.
CAPABILITIES = (
    *("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "setfcap"),
    *("net_bind_service", "net_raw", "sys_chroot", "audit_write"),
)

#: The exit statuses of this program: the target never took mail, the lab failed, standard input ended.
TARGET_TROUBLE, LAB_TROUBLE, INTERRUPTED = 4, 3, 130


class ProcessPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the runner in the namespaces has to know."""

    served: ServedPlan
    ca_pem: str
    ca_key_pem: str
    command: tuple[str, ...]
    #: Where the command runs.
    folder: str
    #: The folder of the hooks; empty: there are none.
    hooks: str
    #: What the lab says for a target that answers no contract; null: it answers one.
    own_answers: OwnAnswers | None
    environment: dict[str, str]
    #: The user and the group that the command runs as; null: as root.
    user: tuple[int, int] | None
    #: The file that takes what the target prints.
    output: str


def play_in_namespaces() -> None:
    """Play the plan that comes on standard input. Raises `TargetError` and `BackendError`."""
    asyncio.run(_play(msgspec.json.decode(sys.stdin.buffer.readline(), type=ProcessPlan)))


async def _play(plan: ProcessPlan) -> None:
    authority = Authority.load(plan.ca_pem.encode(), plan.ca_key_pem.encode())
    served = plan.served
    async with target_network() as network:
        target = _Target(plan, network)

        async def start(world: RunningWorld) -> RemoteTarget:
            remote = await target.start(world)
            if not served.plan.checks_adapter:
                await target.wait_until_ready(remote)
            return remote

        setup = RunSetup(PrefixNetwork(WORLD_PREFIX), WORLD_PREFIX, authority, OVER_THE_NETWORK)
        folder = Path(plan.output).parent
        outlet = standard_output(lambda name, text: write_whole(folder / name, text.encode()))
        playing = asyncio.ensure_future(play_plan(served.plan, setup, start, outlet, served.ready_seconds))
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, INTERRUPTED)
        try:
            await playing
            if served.plan.checks_adapter and target.gone:
                raise TargetError(f"{target.gone}{target.last_lines()}")
        finally:
            await target.close()


@dataclass(slots=True)
class _Target:
    """The target's namespaces and what happens in them."""

    plan: ProcessPlan
    network: TargetNetwork
    _init: asyncio.subprocess.Process | None = None
    _following: asyncio.Task[None] | None = None
    #: How the target ended by itself; empty while a process of it is left.
    gone: str = ""
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _status: int | None = None

    async def start(self, world: RunningWorld) -> RemoteTarget:
        """Start the command. Raises `BackendError`."""
        self._init = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net={self.network.path}"),
            *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(sys.executable, "-I", "-S", str(Path(__file__).with_name("target_init.py"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._init.stdin is not None
        assert self._init.stdout is not None
        self._init.stdin.write(msgspec.json.encode(self._settings(world)) + b"\n")
        await self._read_event(self._init.stdout)
        self._following = asyncio.ensure_future(self._follow(self._init.stdout))
        served = self.plan.served
        inject, port, connect = served.inject, served.contract_port, self.network.connect
        if self.plan.own_answers is None:
            return RemoteTarget(TARGET_ADDRESS, contract_port=port, inject=inject, connect=connect)
        return BareTarget(self.plan.own_answers, Path(self.plan.output), inject, connect)

    async def wait_until_ready(self, remote: RemoteTarget) -> None:
        """Wait until the target takes mail. Raises `TargetError` if it never does, or ends."""
        deadline = Deadline(TARGET_READY.name, self.plan.served.ready_seconds)
        waiting = asyncio.ensure_future(wait_until_ready(remote, deadline))
        ending = asyncio.ensure_future(self._gone.wait())
        await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await remote.close()
            raise TargetError(f"{self.gone} before it took mail{self._hint()}{self.last_lines()}")
        try:
            waiting.result()
        except TargetError as error:
            raise TargetError(f"{self._not_up(str(error))}{self.last_lines()}") from error

    def _not_up(self, trouble: str) -> str:
        """Return what can be seen of a target that takes no mail."""
        ports, served = self.network.listening(), self.plan.served
        if served.inject.port in ports and self.plan.own_answers is not None:
            seconds = served.ready_seconds
            trouble = f"port {served.inject.port} is open, and no SMTP greeting came from it within {seconds:g} s"
        elif ports:
            trouble += f"; it listens on port {', '.join(map(str, ports))}"
        else:
            trouble += "; it listens on no port"
        return trouble if self._status is None else f"{trouble}; its first process ended with {_how(self._status)}"

    def _hint(self) -> str:
        if self.plan.user is None:
            return ""
        return " (it ran as an ordinary user: a program that needs root, or changes users, is run with sudo)"

    def last_lines(self) -> str:
        """Return the end of what the target printed, for a message."""
        with contextlib.suppress(OSError):
            lines = Path(self.plan.output).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return "\n".join(["", *lines[-10:]])
        return ""

    async def close(self) -> None:
        """End every process of the target."""
        if self._init is not None and self._init.returncode is None:
            self._init.kill()
            await self._init.wait()
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self, events: asyncio.StreamReader) -> None:
        try:
            while await self._read_event(events):
                pass
        except BackendError as error:
            self.gone = str(error)
        self.gone = self.gone or "the target's namespaces ended"
        self._gone.set()

    async def _read_event(self, events: asyncio.StreamReader) -> bool:
        line = await events.readline()
        if not line:
            return False
        event = msgspec.json.decode(line)
        if event["event"] == "trouble":
            raise BackendError(event["what"])
        if event["event"] == "ended":
            self._status = event["status"]
        if event["event"] == "gone":
            self.gone = f"the command ended with {_how(self._status)}"
        return True

    def _settings(self, world: RunningWorld) -> dict[str, object]:
        plan = self.plan
        name = crypto.load_certificate(crypto.FILETYPE_PEM, world.ca_pem).subject_name_hash()
        files = {
            "/etc/resolv.conf": f"nameserver {world.dns_address}\noptions timeout:2 attempts:2 edns0 trust-ad\n",
            "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{TARGET_ADDRESS} {HOSTNAME} mta\n",
        }
        contract_server = shipped_files() / "docker" / "common" / "contract_server.py"
        server = [sys.executable, str(contract_server), "--hooks", plan.hooks, "--port", str(plan.served.contract_port)]
        return {
            "root": plan.user is None,
            "output": plan.output,
            "folder": plan.folder,
            "hostname": HOSTNAME,
            "files": files,
            "ca_pem": world.ca_pem.decode(),
            "ca_name": f"{int(name):08x}.0",
            "environment": self._environment(world),
            "hook_server": self._as_user(server) if plan.hooks else [],
            "command": self._as_user(plan.command),
        }

    def _as_user(self, command: list[str] | tuple[str, ...]) -> list[str]:
        """Return a command that runs with the rights that the target is to have."""
        if self.plan.user is None:
            return ["setpriv", "--bounding-set", _bounding_set(), *command]
        user, group = self.plan.user
        return ["unshare", "--user", f"--map-user={user}", f"--map-group={group}", *command]

    def _environment(self, world: RunningWorld) -> dict[str, str]:
        kept = {name: text for name, text in self.plan.environment.items() if not name.lower().endswith("_proxy")}
        return {
            **kept,
            "HOSTNAME": HOSTNAME,
            "LAB_DNS": world.dns_address,
            "LAB_PREFIX": str(BENCHMARK_BLOCK),
            "LAB_HOSTNAME": HOSTNAME,
            "LAB_SENDER_DOMAIN": SENDER_DOMAIN,
            "LAB_STATE": f"{PLACE}/state",
            "SSL_CERT_DIR": f"{PLACE}/authorities",
            **dict.fromkeys(CA_VARIABLES, f"{PLACE}/ca.pem"),
        }


def _how(status: int | None) -> str:
    """Return an exit status in words."""
    return f"signal {signal.Signals(-status).name}" if status is not None and status < 0 else f"status {status}"


def _bounding_set() -> str:
    return ",".join(["-all", *(f"+{name}" for name in CAPABILITIES)])


def main() -> None:
    """Play the plan; say on standard error what went wrong."""
    try:
        play_in_namespaces()
    except (TargetError, BackendError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(TARGET_TROUBLE if isinstance(error, TargetError) else LAB_TROUBLE) from None


if __name__ == "__main__":
    main()
