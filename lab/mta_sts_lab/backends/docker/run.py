"""Plays one run in Docker: an internal network with the lab's container and the target's."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import random
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import docker.errors
import docker.types
import msgspec
import requests

import docker
from mta_sts_lab.adapter_check.diagnosis import read_diagnoses
from mta_sts_lab.backends.docker.engine import (
    OWNER_LABEL,
    RUN_LABEL,
    EngineError,
    connect,
    engine_errors,
    owner,
)
from mta_sts_lab.backends.docker.files import (
    KEPT_AND_OVERRIDDEN,
    LARGEST_FILE,
    fetch_captures,
    lab_archive,
    laid_archive,
    text_file,
)
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.life import start_with_input, swept
from mta_sts_lab.backends.local import signals_held_back
from mta_sts_lab.backends.registry import BackendError, Job, TargetRefused
from mta_sts_lab.backends.served import JOIN_IPV6, PROCESSOR_TIME, TARGET_LOG
from mta_sts_lab.backends.served_plan import Ipv6Link, ServedPlan, pass_on
from mta_sts_lab.backends.staying import Doors, staying
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.events import Event, TargetDiagnosed
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import Header
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.world.network import SENDER_DOMAIN
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import trust_anchor

#: Each run takes one of these: 4,096 addresses, half of them the world's. 32 runs can go side by side.
SUBNETS = tuple(ipaddress.IPv4Network("198.18.0.0/15").subnets(new_prefix=20))

#: Places in a subnet: the engine's gateway, the lab, the target; the upper half is the world's.
_GATEWAY, _LAB, _TARGET = 1, 2, 3

#: The exit status of the program in the lab's container when the target never came up, or broke its contract.
TARGET_FAILED = 4

#: The exit status of a target's entry point for a configuration that the mail server refuses (EX_CONFIG).
REFUSED = 78

#: An internal network has no way out, but the engine gives the host an address in it, by which a container could reach
#: whatever listens there. This leaves the bridge without one (seen with Docker 20.10: the host was reachable before).
_NOT_EVEN_THIS_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}

#: MiB of memory that the lab's own container may take. Far more than a run was seen to take (Postfix: 82), and few
#: enough that a fault of the lab does not take the machine down.
LAB_MEMORY_MIB = 4096

#: The engine gives a container a default route even where nothing can come of it (seen with Docker 20.10). Without one,
#: whoever looks for the real Internet learns at once that there is none.
_ONE_ROUTE = 'ip route replace "$1" via "$2" && { ip route del default 2>/dev/null || true; }'


#: The engine switches IPv6 off in a container of an IPv4 network. The last one is for the lab's container alone: with
#: it addresses can be bound that are local by a route.
_IPV6_ON = {"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0"}
_BIND_ANY = {"net.ipv6.ip_nonlocal_bind": "1"}


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
    #: How the target's container ended by itself, and its last output; empty if it stayed up to the end.
    target_ended: str = ""
    target_status: int = 0
    #: What became of the files that were laid over the image, line by line.
    laid_over: str = ""


def play(job: Job) -> str | None:
    """Play a job in containers; see `Backend.play`."""
    job = replace(job, outlet=_tell_diagnosis(introduced(job.outlet, job.target), job.say))
    done = run_in_containers(job)
    job.outlet.target_file("log.txt", done.target_log)
    job.outlet.target_file("configuration.txt", done.target_configuration)
    if done.laid_over:
        job.outlet.target_file("kept-and-overridden.txt", done.laid_over)
    spent = f"{done.lab_seconds:.2f} {done.target_seconds:.2f} seconds of processor time: the lab, the target\n"
    job.outlet.target_file("processor-time.txt", spent)
    target_failed = done.status == TARGET_FAILED
    if done.target_status == REFUSED:
        raise TargetRefused(done.target_ended.rpartition("entrypoint: ")[2] or done.target_ended)
    if done.status and not (job.plan.checks_adapter and target_failed and done.target_ended):
        said = done.problem.removeprefix("sts-lab: ") or f"the lab's container ended with status {done.status}"
        # An adapter is checked whatever its target does, so there the lab is at fault.
        raise (TargetError if target_failed and not job.plan.checks_adapter else EngineError)(said)
    return done.target_ended


def run_in_containers(job: Job) -> ContainerRun:
    """Play a plan against a target in Docker and hand the record to the outlet, line by line, as it is made.

    Whatever happens, no container and no network stays behind. Raises `EngineError`.
    """
    client = connect()
    images = images_of(job.target, job.say)
    with swept(client, job.plan.run), engine_errors("the engine, or somebody who used it meanwhile, ended the run"):
        site = _site(client, job.plan, job.target)
        lab, target = _lab_container(site, images[0]), _target_container(site, images[1], job.flaws)
        return _play(site, lab, target, images[0], job)


def images_of(target: TargetFolder, say: Callable[[str], None]) -> tuple[str, str]:
    """Return the images of the lab and of a target; build those that are not there. Raises `EngineError`."""
    client = connect()
    with engine_errors("looking for images"):
        return lab_image(client, say), target_image(client, target, say)


def _play(site: _Site, lab: Any, target: Any, image: str, job: Job) -> ContainerRun:
    """Start both containers and follow the record to its end."""
    begun = threading.Event()
    start_with_input(lab, site.authority.private_key_pem)
    target.start()
    _end_with_the_target(lab, target, begun)
    _route(site, image, target)
    job.say(f"{site.folder.file.title} and the lab are up in {site.subnet}")
    if job.plan.stays:
        job.outlet.target_file("ca.pem", site.authority.certificate_pem.decode())
    with staying(job, lambda: _doors(site, lab, target, job), lambda: lab.kill("SIGTERM")) as shown:
        follow_record(lab, shown.outlet, begun, lambda: _tell_laid_over(site, target, job))
    status = int(lab.wait()["StatusCode"])
    if job.plan.stays and status == 128 + signal.SIGTERM:
        status = 0
    problem = lab.logs(stdout=False, stderr=True).decode(errors="replace").strip()
    if not status:
        fetch_captures(lab, job)
    target.reload()
    ended = ("", "") if target.status == "running" else _how_it_ended(site, target)
    if ended[0] and not begun.is_set():
        status, problem = TARGET_FAILED, f"{ended[0]} before it took mail\n{ended[1]}".strip()
    return ContainerRun(
        status=status,
        problem=problem,
        target_log=text_file(lab, str(TARGET_LOG)) or f"{_logs(target)}{_own_log(target)}",
        target_configuration=text_file(target, "/lab/configuration.txt"),
        lab_seconds=float(text_file(lab, str(PROCESSOR_TIME)) or 0),
        target_seconds=_processor_seconds(target),
        target_ended="\n".join(ended).strip(),
        target_status=int(target.attrs.get("State", {}).get("ExitCode") or 0),
        laid_over=text_file(target, KEPT_AND_OVERRIDDEN) if site.folder.laid else "",
    )


def _doors(site: _Site, lab: Any, target: Any, job: Job) -> Doors:
    port = site.folder.file.inject.port
    return Doors(
        target=f"docker exec -it {target.name} sh",
        lab=f"docker exec -it {lab.name} sh",
        ca_file=f"/lab/ca.pem on the mail server's side; {(job.directory / 'ca.pem').resolve()} here",
        takes_mail=f"127.0.0.1:{port} on its side, {site.subnet[_TARGET]}:{port} on the lab's",
    )


def introduced(outlet: Outlet, folder: TargetFolder) -> Outlet:
    """Return an outlet whose record says of the target, beside its own words, what its folder says of it."""

    def header(said: Header) -> None:
        better = folder.file.better_than_packaged
        about = replace(said.about, name=folder.called or said.about.name, better_than_packaged=better)
        outlet.header(msgspec.structs.replace(said, about=about))

    return replace(outlet, header=header)


def _tell_diagnosis(outlet: Outlet, say: Callable[[str], None]) -> Outlet:
    """Return an outlet that also prints what is wrong with the configuration, as soon as that is known."""

    def event(one: Event) -> None:
        if isinstance(one.fact, TargetDiagnosed):
            say(
                f"diagnosis: {one.fact.means.rstrip('.')} ({one.fact.code})"
                + (f': "{one.fact.quoted}"' if one.fact.quoted else "")
            )
        outlet.event(one)

    return replace(outlet, event=event)


def _tell_laid_over(site: _Site, target: Any, job: Job) -> None:
    """Print what was kept and overridden of the files laid over the image. Of several parts the first prints it."""
    if job.plan.at_once > 1 and job.plan.run.rpartition("-")[2] != "1":
        return
    for line in text_file(target, KEPT_AND_OVERRIDDEN).splitlines() if site.folder.laid else ():
        job.say(line)


@dataclass(frozen=True, slots=True)
class _Site:
    """The network of a run, and its subnets."""

    client: docker.DockerClient
    plan: Plan
    folder: TargetFolder
    network: str
    subnet: ipaddress.IPv4Network
    authority: Authority

    @property
    def has_ipv6(self) -> bool:
        """Whether some hosts of the run have IPv6 addresses."""
        return self.plan.dual_stack or Family.IPV6 in self.plan.families

    @property
    def ipv6(self) -> ipaddress.IPv6Network:
        """The run's part of the IPv6 block, which goes with its subnet."""
        return ipaddress.IPv6Network(f"2001:db8:{SUBNETS.index(self.subnet) + 1:x}::/64")

    @property
    def ipv6_world(self) -> ipaddress.IPv6Network:
        """The half of it where the world's hosts live."""
        return list(self.ipv6.subnets(prefixlen_diff=1))[1]

    @property
    def world(self) -> ipaddress.IPv4Network:
        """The half of the run's subnet where the world's hosts live."""
        return list(self.subnet.subnets(prefixlen_diff=1))[1]


def _site(client: docker.DockerClient, plan: Plan, folder: TargetFolder) -> _Site:
    """Make an internal network on the first free subnet, beginning at a random one."""
    order = list(SUBNETS)
    random.shuffle(order)
    for subnet in order:
        pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(subnet[_GATEWAY]))
        try:
            with signals_held_back():
                network = client.networks.create(
                    f"mta-sts-lab-{plan.run}",
                    internal=True,
                    options=_NOT_EVEN_THIS_HOST,
                    ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                    labels=labels_of(plan.run),
                )
        except docker.errors.APIError as error:
            if "overlap" in str(error).lower():
                continue
            raise EngineError(f"the engine makes no network: {error.explanation}") from error
        return _Site(client, plan, folder, network.name, subnet, Authority.create())
    raise EngineError(
        "all 32 subnets of 198.18.0.0/15 are in use; `sts-lab clean` removes what killed runs left behind"
    )


def capabilities_of_the_lab(plan: Plan) -> list[str]:
    """Return the capabilities that the lab's container needs, for its own network namespace."""
    return ["NET_ADMIN", "NET_BIND_SERVICE", *(["NET_RAW"] if plan.captures else [])]


def labels_of(run: str) -> dict[str, str]:
    """Return the labels of everything that a run makes."""
    return {RUN_LABEL: run, OWNER_LABEL: owner()}


def _hardware(site: _Site, place: int) -> str:
    """Return the hardware address of a place in the subnet: the one that the engine gave it before version 28."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x42, *site.subnet[place].packed))


def _container(site: _Site, part: str, place: int, **options: Any) -> Any:
    """Create a container of the run. It is removed at the end of the run."""
    name = f"mta-sts-lab-{site.plan.run}-{part}"
    endpoint = site.client.api.create_endpoint_config(
        ipv4_address=str(site.subnet[place]), mac_address=_hardware(site, place)
    )
    try:
        with signals_held_back():
            return site.client.containers.create(
                name=name,
                labels=labels_of(site.plan.run),
                network=site.network,
                networking_config={site.network: endpoint},
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=2048,
                **options,
            )
    except docker.errors.APIError as error:
        raise EngineError(f"the engine makes no container {name}: {error.explanation}") from error


def _lab_container(site: _Site, image: str) -> Any:
    plan, file = site.plan, site.folder.file
    served = ServedPlan(
        plan=plan,
        prefixes={Family.IPV4: str(site.world)} | ({Family.IPV6: str(site.ipv6_world)} if site.has_ipv6 else {}),
        ipv6=Ipv6Link(str(site.ipv6[_LAB]), str(site.ipv6[_TARGET]), _hardware(site, _TARGET))
        if site.has_ipv6
        else None,
        target_address=str(site.subnet[_TARGET]),
        inject=file.inject,
        contract_port=file.contract.port,
        ready_seconds=file.ready_seconds,
        diagnoses=read_diagnoses(site.folder.origin.path),
        judged_as_it_is=site.folder.base is not None and not site.folder.shipped,
    )
    files = {
        "plan.json": msgspec.json.encode(served),
        "ca.pem": site.authority.certificate_pem,
    }
    options = {
        "image": image,
        "command": ["play-served-plan"],
        "cap_add": capabilities_of_the_lab(plan),
        "stdin_open": True,
        "sysctls": _IPV6_ON | _BIND_ANY if site.has_ipv6 else {},
        "mem_limit": f"{LAB_MEMORY_MIB}m",
    }
    container = _container(site, "lab", _LAB, **options)
    container.put_archive("/", lab_archive(files))
    return container


def _target_container(site: _Site, image: str, flaws: frozenset[str]) -> Any:
    file = site.folder.file
    environment = {
        "LAB_DNS": str(site.world[1]),
        "LAB_PREFIX": str(site.subnet),
        "LAB_HOSTNAME": f"mta.{SENDER_DOMAIN}",
        "LAB_SENDER_DOMAIN": SENDER_DOMAIN,
        **file.environment,
    }
    if site.has_ipv6:
        environment["LAB_FAMILIES"] = "ipv4 ipv6"
    if flaws:
        environment["LAB_FLAWS"] = ",".join(sorted(flaws))
    options = {
        "image": image,
        "command": list(file.command) or None,
        "cap_add": list(file.capabilities_needed),
        "sysctls": file.sysctls | (_IPV6_ON if site.has_ipv6 else {}),
        "environment": environment,
        "hostname": f"mta.{SENDER_DOMAIN}",
        "mem_limit": f"{file.memory_mib}m",
    }
    container = _container(site, f"target-{site.folder.name}", _TARGET, **options)
    certificate = site.authority.certificate_pem
    container.put_archive("/", lab_archive({"ca.pem": certificate, "trust-anchor": trust_anchor(certificate).encode()}))
    if site.folder.laid:
        container.put_archive("/", laid_archive(site.folder.laid))
    return container


def _route(site: _Site, image: str, target: Any) -> None:
    """Give the target's container one route, to the lab's world, and no other.

    Without it each address would take an entry of the host's neighbour table, which overflows near one thousand for all
    containers of the host together. The target itself needs no privilege for this: a helper enters its network.
    """
    try:
        with signals_held_back():
            site.client.containers.run(
                image,
                entrypoint=["sh", "-c", *_routes(site)],
                name=f"mta-sts-lab-{site.plan.run}-route",
                labels=labels_of(site.plan.run),
                network_mode=f"container:{target.id}",
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN"],
                remove=True,
            )
    except docker.errors.DockerException:
        target.reload()
        if target.status == "running":
            raise
        # The target has ended, and so will the lab's container; see `_end_with_the_target`.


def _routes(site: _Site) -> tuple[str, ...]:
    """Return the script that gives the target its routes, and its arguments."""
    one_route = (str(site.world), str(site.subnet[_LAB]))
    if not site.has_ipv6:
        return (_ONE_ROUTE, "sh", *one_route)
    script = JOIN_IPV6 + 'ip -6 route replace "$4" via "$2" dev eth0\nshift 4\n' + _ONE_ROUTE
    own, lab = str(site.ipv6[_TARGET]), str(site.ipv6[_LAB])
    return (script, "sh", own, lab, _hardware(site, _LAB), str(site.ipv6_world), *one_route)


def _end_with_the_target(lab: Any, target: Any, begun: threading.Event) -> None:
    """End the lab's container, too, when the target's ends before the run has begun: nobody will answer any more.

    Afterwards the lab finds out by itself, and what was played until then stays on record.
    """

    def wait() -> None:
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            target.wait()
            if not begun.is_set():
                lab.kill()

    threading.Thread(target=wait, name="target ends", daemon=True).start()


def _how_it_ended(site: _Site, target: Any) -> tuple[str, str]:
    """Return how a container ended by itself, and its last output."""
    status = target.attrs.get("State", {}).get("ExitCode")
    said = "\n".join(_logs(target).strip().splitlines()[-10:])
    return f"{site.folder.file.title}: its container ended with status {status}", said


def follow_record(lab: Any, outlet: Outlet, begun: threading.Event, at_its_beginning: Callable[[], None]) -> None:
    """Read the record from the lab container's standard output until it ends.

    An engine that follows a log under load may give out a part of a line (moby/moby, issue 41820). The log is whole, so
    it is read again from there when the container has ended. Raises `BackendError` if that is no record either.
    """
    passed = 0
    try:
        for line in _lines_of(lab, follow=True):
            if not begun.is_set():
                begun.set()
                at_its_beginning()
            pass_on(line, outlet)
            passed += 1
    except BackendError:
        lab.wait()
        for line in itertools.islice(_lines_of(lab, follow=False), passed, None):
            pass_on(line, outlet)


def _lines_of(container: Any, *, follow: bool) -> Iterator[bytes]:
    """Yield the lines of a container's standard output."""
    pending = b""
    for chunk in container.logs(stream=True, follow=follow, stdout=True, stderr=False):
        *lines, pending = (pending + chunk).split(b"\n")
        yield from lines


def _own_log(target: Any) -> str:
    """Return what the hook `logs` prints, for a target whose contract never answered; empty if it has none."""
    if target.status != "running":
        return ""
    try:
        done = target.exec_run(["/hooks/logs"])
    except docker.errors.DockerException:
        return ""
    return str(done.output.decode(errors="replace")) if done.exit_code == 0 else ""


def _logs(container: Any) -> str:
    """Return what a container printed, whole but for what is beyond `LARGEST_FILE`."""
    kept = bytearray()
    for chunk in container.logs(stdout=True, stderr=True, stream=True, follow=False):
        kept += chunk
        if len(kept) > LARGEST_FILE:
            kept[LARGEST_FILE:] = f"\n--- the rest is left out: it is longer than {LARGEST_FILE} octets\n".encode()
            break
    return kept.decode(errors="replace")


def _processor_seconds(container: Any) -> float:
    """Return the processor time of a running container; 0 when it has ended."""
    used = container.stats(stream=False, one_shot=True).get("cpu_stats", {}).get("cpu_usage", {})
    return float(used.get("total_usage", 0)) / 1e9
