"""The target's network namespace: the link to the lab's, connections into it, and the ports that are open in it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6, SOCK_STREAM, socket

from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.model.world import Family
from mta_sts_lab.world.network import BENCHMARK_BLOCK, DOCUMENTATION_BLOCK

#: The two ends of the link between the namespaces. The rest of the upper half of the block is nobody's.
LAB_ADDRESS, TARGET_ADDRESS = "198.19.255.253", "198.19.255.254"

LAB_IPV6, TARGET_IPV6 = "2001:db8:ffff:ffff::1", "2001:db8:ffff:ffff::2"

#: Where the hosts of the world are, and the first IPv4 address there, which is the name server's.
WORLD_PREFIXES = {Family.IPV4: "198.18.0.0/16", Family.IPV6: "2001:db8:18::/64"}
NAME_SERVER = "198.18.0.1"

#: Whether an address can be bound that is local by a route alone, as those of the world are.
_BIND_ANY = Path("/proc/sys/net/ipv6/ip_nonlocal_bind")

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class TargetNetwork:
    """The target's network namespace, held by a thread that lives in it."""

    thread: ThreadPoolExecutor
    #: The namespace, as a file.
    path: str

    async def connect(self, port: int) -> socket:
        """Connect to a port of the target, wherever in its namespace it listens. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        refusal = OSError()
        for family, address in ((AF_INET, "127.0.0.1"), (AF_INET, TARGET_ADDRESS), (AF_INET6, "::1")):
            # A socket belongs to the namespace of the thread that made it.
            sock = await loop.run_in_executor(self.thread, socket, family, SOCK_STREAM)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, (address, port))
            except OSError as error:
                sock.close()
                if not refusal.errno:
                    refusal = OSError(error.errno, os.strerror(error.errno or 0))
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise refusal

    def listening(self) -> list[int]:
        """Return the TCP ports that are listened on in the namespace."""
        task = Path(self.path).parent.parent
        ports: set[int] = set()
        for table in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                for line in (task / "net" / table).read_text().splitlines()[1:]:
                    local, _, state = line.split()[1:4]
                    if state == "0A":
                        ports.add(int(local.rpartition(":")[2], 16))
        return sorted(ports)


@contextlib.asynccontextmanager
async def target_network() -> AsyncIterator[TargetNetwork]:
    """Make the target's network namespace and the link to it. Raises `BackendError`."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        number = await loop.run_in_executor(thread, _enter_network)
        network = TargetNetwork(thread, f"/proc/{os.getpid()}/task/{number}/ns/net")
        await _ip(
            "link set lo up",
            f"route add local {BENCHMARK_BLOCK} dev lo",
            f"link add lab type veth peer name target netns {network.path}",
            f"address add {LAB_ADDRESS}/30 dev lab",
            "link set lab up",
            # More exact than the route above, and so stronger.
            f"route add {TARGET_ADDRESS}/32 dev lab table local",
        )
        await _ip(
            "link set lo up",
            f"address add {TARGET_ADDRESS}/30 dev target",
            "link set target up",
            f"route add {BENCHMARK_BLOCK} via {LAB_ADDRESS}",
            namespace=network.path,
        )
        if has_ipv6():
            await _add_ipv6(network)
        # Who is not root in the namespace may listen on port 25, too.
        port = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
        await loop.run_in_executor(thread, Path(port).write_text, "0")
        yield network


def has_ipv6() -> bool:
    """Whether the kernel has IPv6."""
    return _BIND_ANY.exists()


async def _add_ipv6(network: TargetNetwork) -> None:
    """Let the IPv6 addresses of the lab's block lead from the target's namespace to this one. Raises `BackendError`."""
    await asyncio.to_thread(_BIND_ANY.write_text, "1")
    await _ip(
        f"route add local {DOCUMENTATION_BLOCK} dev lo",
        f"address add {LAB_IPV6}/126 dev lab nodad",
        f"route add {TARGET_IPV6}/128 dev lab table local",
    )
    await _ip(
        f"address add {TARGET_IPV6}/126 dev target nodad",
        f"route add {DOCUMENTATION_BLOCK} via {LAB_IPV6}",
        namespace=network.path,
    )


def _enter_network() -> int:
    """Move the calling thread into a new network namespace; return its number. Raises `BackendError`."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise BackendError(f"no network namespace for the target: {os.strerror(ctypes.get_errno())}")
    return threading.get_native_id()


async def _ip(*lines: str, namespace: str = "") -> None:
    command = ["nsenter", f"--net={namespace}"] if namespace else []
    process = await asyncio.create_subprocess_exec(
        *command,
        *("ip", "-batch", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate("\n".join(lines).encode())
    if process.returncode:
        raise BackendError(f"the network of the namespaces cannot be set up: {said.decode(errors='replace').strip()}")
