"""The network of one run in Docker, and the two containers in it: the lab's and the target's."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import Any

import docker.errors
import docker.types
import msgspec

import docker
from mta_sts_lab.adapter_check.diagnosis import read_diagnoses
from mta_sts_lab.backends.docker.engine import OWNER_LABEL, RUN_LABEL, EngineError, owner
from mta_sts_lab.backends.docker.files import lab_archive, laid_archive
from mta_sts_lab.backends.docker.output import NO_LOG
from mta_sts_lab.backends.local import signals_held_back
from mta_sts_lab.backends.registry import TargetRefused
from mta_sts_lab.backends.served_plan import JOIN_IPV6, Ipv6Link, ServedPlan
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.model.world import Family
from mta_sts_lab.runner.plan import Plan
from mta_sts_lab.world.network import SENDER_DOMAIN
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import trust_anchor

#: Each run takes one of these: 4,096 addresses, half of them the world's. 32 runs can go side by side.
SUBNETS = tuple(ipaddress.IPv4Network("198.18.0.0/15").subnets(new_prefix=20))

#: Places in a subnet: the engine's gateway, the lab, the target; the upper half is the world's.
_GATEWAY, _LAB, _TARGET = 1, 2, 3

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
class Site:
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
    def target_address(self) -> ipaddress.IPv4Address:
        """Where the mail server under test is."""
        return self.subnet[_TARGET]

    @property
    def world(self) -> ipaddress.IPv4Network:
        """The half of the run's subnet where the world's hosts live."""
        return list(self.subnet.subnets(prefixlen_diff=1))[1]


def make_site(client: docker.DockerClient, plan: Plan, folder: TargetFolder) -> Site:
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
        return Site(client, plan, folder, network.name, subnet, Authority.create())
    raise EngineError(
        "all 32 subnets of 198.18.0.0/15 are in use; `sts-lab clean` removes what killed runs left behind"
    )


def capabilities_of_the_lab(plan: Plan) -> list[str]:
    """Return the capabilities that the lab's container needs, for its own network namespace."""
    return ["NET_ADMIN", "NET_BIND_SERVICE", *(["NET_RAW"] if plan.captures else [])]


def labels_of(run: str) -> dict[str, str]:
    """Return the labels of everything that a run makes."""
    return {RUN_LABEL: run, OWNER_LABEL: owner()}


def _hardware(site: Site, place: int) -> str:
    """Return the hardware address of a place in the subnet: the one that the engine gave it before version 28."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x42, *site.subnet[place].packed))


def _container(site: Site, part: str, place: int, **options: Any) -> Any:
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


def lab_container(site: Site, image: str) -> Any:
    """Create the lab's container, with the plan and the CA in it."""
    plan, file = site.plan, site.folder.file
    served = ServedPlan(
        plan=plan,
        prefixes={Family.IPV4: str(site.world)} | ({Family.IPV6: str(site.ipv6_world)} if site.has_ipv6 else {}),
        ipv6=Ipv6Link(str(site.ipv6[_LAB]), str(site.ipv6[_TARGET]), _hardware(site, _TARGET))
        if site.has_ipv6
        else None,
        target_address=str(site.target_address),
        inject=file.inject,
        contract_port=file.contract.port,
        ready_seconds=file.ready_seconds,
        diagnoses=read_diagnoses(site.folder.made_in),
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
        "log_config": NO_LOG,
    }
    container = _container(site, "lab", _LAB, **options)
    container.put_archive("/", lab_archive(files))
    return container


def target_container(site: Site, image: str, flaws: frozenset[str]) -> Any:
    """Create the target's container, with what it needs to know of the world."""
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
    if site.plan.own_files not in ("", site.folder.own_files):
        changed = "the files of --config or --install were changed during the run"
        raise TargetRefused(f"{site.folder.name}: {changed}; play it again")
    if site.folder.laid:
        container.put_archive("/", laid_archive(site.folder.laid))
    return container


def give_route(site: Site, image: str, target: Any) -> None:
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
        # The target has ended, and the lab's container is ended with it (`run`).


def _routes(site: Site) -> tuple[str, ...]:
    """Return the script that gives the target its routes, and its arguments."""
    one_route = (str(site.world), str(site.subnet[_LAB]))
    if not site.has_ipv6:
        return (_ONE_ROUTE, "sh", *one_route)
    script = JOIN_IPV6 + 'ip -6 route replace "$4" via "$2" dev eth0\nshift 4\n' + _ONE_ROUTE
    own, lab = str(site.ipv6[_TARGET]), str(site.ipv6[_LAB])
    return (script, "sh", own, lab, _hardware(site, _LAB), str(site.ipv6_world), *one_route)
