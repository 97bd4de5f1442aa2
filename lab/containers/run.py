"""One run in Docker: a network without a way out, the lab's container in it, and the target's beside it."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import random
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import docker.types
import msgspec

import docker
from lab.containers.engine import OWNER_LABEL, RUN_LABEL, EngineError, connect, owner
from lab.containers.folder import TargetFolder
from lab.containers.images import lab_image, target_image
from lab.events import Event
from lab.record import Footer, Header
from lab.runner.outlet import Outlet
from lab.runner.plan import Plan
from lab.runner.served import PROCESSOR_TIME, TARGET_LOG, ServedPlan
from lab.world.internet import SENDER_DOMAIN
from lab.world.pki import Authority

#: Each run takes one of these: 4,096 addresses, half of them the world's. 32 runs can go side by side.
SUBNETS = tuple(ipaddress.IPv4Network("198.18.0.0/15").subnets(new_prefix=20))

#: Places in a subnet: the engine's gateway, the lab, the target; the upper half is the world's.
_GATEWAY, _LAB, _TARGET = 1, 2, 3


#: Octets of a text file that are taken out of a container. The log of a whole catalogue on Postfix has 2 MiB.
_LARGEST_FILE = 64 << 20


@dataclass(frozen=True, slots=True)
class ContainerRun:
    """How a run in Docker ended. `problem` is what the lab's container said when it could not play to the end."""

    status: int
    problem: str
    target_log: str
    target_configuration: str
    #: Seconds of processor time that the lab's container and the target's took.
    lab_seconds: float
    target_seconds: float


def run_in_containers(
    plan: Plan, folder: TargetFolder, flaws: frozenset[str], outlet: Outlet, say: Callable[[str], None]
) -> ContainerRun:
    """Play a plan against a target in Docker and hand the record to the outlet, line by line, as it is made.

    Whatever happens, no container and no network stays behind. Raises `EngineError`.
    """
    client = connect()
    images = lab_image(client, say), target_image(client, folder, say)
    with contextlib.ExitStack() as stack:
        network, subnet = stack.enter_context(_network(client, plan.run))
        world = _world_of(subnet)
        authority = Authority.create()
        lab = stack.enter_context(_lab_container(client, plan, folder, images[0], network, subnet, authority))
        target = stack.enter_context(
            _target_container(client, plan, folder, images[1], network, subnet, authority, flaws)
        )
        lab.start()
        target.start()
        _route(client, plan, images[0], target, world, subnet[_LAB])
        say(f"{folder.file.title} and the lab are up in {subnet}")
        _follow(lab, outlet)
        status = int(lab.wait()["StatusCode"])
        problem = lab.logs(stdout=False, stderr=True).decode(errors="replace").strip()
        log = _file(lab, str(TARGET_LOG)) or _logs(target)
        return ContainerRun(
            status=status,
            problem=problem,
            target_log=log,
            target_configuration=_file(target, "/lab/configuration.txt"),
            lab_seconds=float(_file(lab, str(PROCESSOR_TIME)) or 0),
            target_seconds=_processor_seconds(target),
        )


def _world_of(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """Return the half of a run's subnet where the world's hosts live."""
    return list(subnet.subnets(prefixlen_diff=1))[1]


@contextlib.contextmanager
def _network(client: docker.DockerClient, run: str) -> Iterator[tuple[Any, ipaddress.IPv4Network]]:
    """Make an internal network on the first free subnet, beginning at a random one."""
    order = list(SUBNETS)
    random.shuffle(order)
    for subnet in order:
        pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(subnet[_GATEWAY]))
        try:
            network = client.networks.create(
                f"mta-sts-lab-{run}",
                internal=True,
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels=_labels(run),
            )
        except docker.errors.APIError as error:
            if "overlap" in str(error).lower():
                continue
            raise EngineError(f"the engine makes no network: {error.explanation}") from error
        try:
            yield network, subnet
        finally:
            with contextlib.suppress(docker.errors.NotFound):
                network.remove()
        return
    raise EngineError(
        "all 32 subnets of 198.18.0.0/15 are in use; `sts-lab clean` removes what killed runs left behind"
    )


def _labels(run: str) -> dict[str, str]:
    return {RUN_LABEL: run, OWNER_LABEL: owner()}


@contextlib.contextmanager
def _container(
    client: docker.DockerClient, run: str, part: str, network: Any, address: Any, **options: Any
) -> Iterator[Any]:
    """Create a container of the run; remove it in the end, whatever state it is in."""
    name = f"mta-sts-lab-{run}-{part}"
    endpoint = client.api.create_endpoint_config(ipv4_address=str(address))
    try:
        container = client.containers.create(
            name=name,
            labels=_labels(run),
            network=network.name,
            networking_config={network.name: endpoint},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            pids_limit=2048,
            **options,
        )
    except docker.errors.APIError as error:
        raise EngineError(f"the engine makes no container {name}: {error.explanation}") from error
    try:
        yield container
    finally:
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)


@contextlib.contextmanager
def _lab_container(
    client: docker.DockerClient,
    plan: Plan,
    folder: TargetFolder,
    image: str,
    network: Any,
    subnet: ipaddress.IPv4Network,
    authority: Authority,
) -> Iterator[Any]:
    served = ServedPlan(
        run=plan.run,
        started=plan.started,
        command=plan.command,
        seed=plan.seed,
        cases=plan.cases,
        supporting=tuple(sorted(plan.supporting)),
        prefix=str(_world_of(subnet)),
        target_address=str(subnet[_TARGET]),
        inject_port=folder.file.inject.port,
        contract_port=folder.file.contract.port,
    )
    files = {
        "plan.json": msgspec.json.encode(served),
        "ca.pem": authority.certificate_pem,
        "ca-key.pem": authority.private_key_pem,
    }
    options = {"image": image, "command": ["play-served-plan"], "cap_add": ["NET_ADMIN", "NET_BIND_SERVICE"]}
    with _container(client, plan.run, "lab", network, subnet[_LAB], **options) as container:
        container.put_archive("/", _archive(files))
        yield container


@contextlib.contextmanager
def _target_container(
    client: docker.DockerClient,
    plan: Plan,
    folder: TargetFolder,
    image: str,
    network: Any,
    subnet: ipaddress.IPv4Network,
    authority: Authority,
    flaws: frozenset[str],
) -> Iterator[Any]:
    environment = {
        "LAB_DNS": str(_world_of(subnet)[1]),
        "LAB_PREFIX": str(subnet),
        "LAB_HOSTNAME": f"mta.{SENDER_DOMAIN}",
        "LAB_SENDER_DOMAIN": SENDER_DOMAIN,
        **folder.file.environment,
    }
    if flaws:
        environment["LAB_FLAWS"] = ",".join(sorted(flaws))
    options = {
        "image": image,
        "command": list(folder.file.command) or None,
        "cap_add": list(folder.file.capabilities_needed),
        "environment": environment,
        "hostname": f"mta.{SENDER_DOMAIN}",
    }
    with _container(client, plan.run, folder.name, network, subnet[_TARGET], **options) as container:
        container.put_archive("/", _archive({"ca.pem": authority.certificate_pem}))
        yield container


def _archive(files: dict[str, bytes]) -> bytes:
    """Return a tar archive with some files under /lab, readable by every user in the container but for keys."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("lab")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(f"lab/{name}")
            member.size, member.mode = len(content), 0o600 if "key" in name else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _route(client: docker.DockerClient, plan: Plan, image: str, target: Any, world: Any, via: Any) -> None:
    """Tell the target's container one route to the whole world.

    Without it each address would take an entry of the host's neighbour table, which overflows near one thousand for all
    containers of the host together. The target itself needs no privilege for this: a helper enters its network.
    """
    try:
        client.containers.run(
            image,
            entrypoint=["ip", "route", "replace", str(world), "via", str(via)],
            name=f"mta-sts-lab-{plan.run}-route",
            labels=_labels(plan.run),
            network_mode=f"container:{target.id}",
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            remove=True,
        )
    except docker.errors.DockerException as error:
        log = _logs(target)[-600:]
        raise EngineError(f"the target's container did not stay up: {error}\n{log}".strip()) from error


def _follow(lab: Any, outlet: Outlet) -> None:
    """Read the record from the lab container's standard output until it ends."""
    pending = b""
    for chunk in lab.logs(stream=True, follow=True, stdout=True, stderr=False):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            _pass_on(line, outlet)


def _pass_on(line: bytes, outlet: Outlet) -> None:
    if line.startswith(b'{"record":'):
        outlet.header(msgspec.json.decode(line, type=Header))
    elif line.startswith(b'{"footer":'):
        outlet.footer(msgspec.json.decode(line, type=Footer))
    elif line.startswith(b'{"number":'):
        outlet.event(msgspec.json.decode(line, type=Event))


def _logs(container: Any) -> str:
    return str(container.logs(stdout=True, stderr=True, tail=2000).decode(errors="replace"))


def _processor_seconds(container: Any) -> float:
    """Return the processor time of a running container; 0 when it has ended."""
    used = container.stats(stream=False, one_shot=True).get("cpu_stats", {}).get("cpu_usage", {})
    return float(used.get("total_usage", 0)) / 1e9


def _file(container: Any, path: str) -> str:
    """Return a small text file out of a container; empty if it has none."""
    try:
        chunks, _ = container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(Path(path).name)
            return member.read(_LARGEST_FILE).decode(errors="replace") if member else ""
    except (docker.errors.DockerException, KeyError, tarfile.TarError):
        return ""
