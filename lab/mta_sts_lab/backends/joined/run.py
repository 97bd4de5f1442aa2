"""Joins the lab's container to a network of others, and plays against a container there."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from dataclasses import dataclass
from typing import Any

import docker.errors
import msgspec

import docker
from mta_sts_lab.backends.docker.engine import EngineError, connect, engine_errors
from mta_sts_lab.backends.docker.files import fetch_captures, lab_archive, text_file
from mta_sts_lab.backends.docker.images import lab_image
from mta_sts_lab.backends.docker.life import start_with_input, swept
from mta_sts_lab.backends.docker.output import NO_LOG, Output
from mta_sts_lab.backends.docker.run import TARGET_FAILED, ended_without_a_word, follow_record
from mta_sts_lab.backends.docker.site import LAB_MEMORY_MIB, capabilities_of_the_lab, labels_of
from mta_sts_lab.backends.joined import WORLD_PREFIX
from mta_sts_lab.backends.joined.asked import authority_of, needs, served_plan, show_ca
from mta_sts_lab.backends.local import signals_held_back
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.backends.served_plan import TARGET_LOG
from mta_sts_lab.backends.target_folder import Joined
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.world.pki import Authority

_ADD_ROUTE = 'ip route replace "$1" via "$2"'
_DELETE_ROUTE = 'ip route del "$1"'


@dataclass(frozen=True, slots=True)
class _Site:
    """What a run on somebody's network uses."""

    client: docker.DockerClient
    job: Job
    joined: Joined
    image: str
    authority: Authority


def play(job: Job) -> str | None:
    """Play a job on a network that is there; see `Backend.play`. The lab's container and the route are removed."""
    assert job.target.file.joined is not None
    client = connect()
    with engine_errors("looking for the network and the lab's image"):
        site = _Site(client, job, job.target.file.joined, lab_image(client, job.say), authority_of(job))
        _check_network(site)
    show_ca(job, site.authority)
    for line in needs(job, site.joined.network, "the lab sets it, and takes it away at the end"):
        job.say(line)
    with swept(client, job.plan.run), engine_errors("the engine, or somebody who used it meanwhile, ended the run"):
        target = _wait_for_target(site)
        return _play(site, target)


def _check_network(site: _Site) -> None:
    try:
        network = site.client.networks.get(site.joined.network)
    except docker.errors.NotFound:
        there = ", ".join(sorted(one.name for one in site.client.networks.list() if one.attrs["Driver"] == "bridge"))
        raise EngineError(f"there is no network {site.joined.network!r}; there are {there}") from None
    if network.attrs["Driver"] != "bridge":
        raise EngineError(
            f"the network {site.joined.network} is of the kind {network.attrs['Driver']}; the lab joins a bridge"
        )
    world = ipaddress.ip_network(WORLD_PREFIX)
    for pool in network.attrs["IPAM"]["Config"] or ():
        subnet = ipaddress.ip_network(pool["Subnet"])
        if subnet.version == world.version and subnet.overlaps(world):
            raise EngineError(f"the network {site.joined.network} has addresses of {WORLD_PREFIX}, which the lab needs")


def _wait_for_target(site: _Site) -> Any:
    """Return the container when it runs. It is waited for until somebody presses Ctrl-C."""
    events = site.client.events(decode=True, filters={"type": "container", "event": "start"})
    try:
        target = _running(site)
        if target is None:
            site.job.say(f"waiting until the container {site.joined.container} is up")
        while target is None:
            next(events)
            target = _running(site)
    finally:
        events.close()
    if site.joined.network not in target.attrs["NetworkSettings"]["Networks"]:
        raise EngineError(f"the container {site.joined.container} is not on the network {site.joined.network}")
    return target


def _running(site: _Site) -> Any:
    with contextlib.suppress(docker.errors.NotFound):
        target = site.client.containers.get(site.joined.container)
        if target.status == "running":
            return target
    return None


def _play(site: _Site, target: Any) -> str:
    lab = _lab_container(site, _address(site, target))
    output = Output(lab)
    start_with_input(lab, site.authority.private_key_pem)
    lab.reload()
    begun = threading.Event()
    _in_network_of(site, target, _ADD_ROUTE, WORLD_PREFIX, _address(site, lab))
    try:
        follow_record(output, site.job.outlet, begun, lambda: None)
    finally:
        with signals_held_back(), contextlib.suppress(docker.errors.DockerException):
            _in_network_of(site, target, _DELETE_ROUTE, WORLD_PREFIX)
    status = int(lab.wait()["StatusCode"])
    log = target.logs(stdout=True, stderr=True, tail=2000).decode(errors="replace")
    site.job.outlet.target_file("log.txt", text_file(lab, str(TARGET_LOG)) or log)
    if status:
        said = output.said().removeprefix("sts-lab: ")
        raise (TargetError if status == TARGET_FAILED else EngineError)(said or ended_without_a_word(status))
    fetch_captures(lab, site.job)
    return ""


def _address(site: _Site, container: Any) -> str:
    return str(container.attrs["NetworkSettings"]["Networks"][site.joined.network]["IPAddress"])


def _lab_container(site: _Site, target_address: str) -> Any:
    served = served_plan(site.job, target_address)
    with signals_held_back():
        container = site.client.containers.create(
            site.image,
            ["play-served-plan"],
            name=f"mta-sts-lab-{site.job.plan.run}-lab",
            labels=labels_of(site.job.plan.run),
            network=site.joined.network,
            cap_drop=["ALL"],
            cap_add=capabilities_of_the_lab(site.job.plan),
            security_opt=["no-new-privileges"],
            pids_limit=2048,
            stdin_open=True,
            mem_limit=f"{LAB_MEMORY_MIB}m",
            log_config=NO_LOG,
        )
    files = {
        "plan.json": msgspec.json.encode(served),
        "ca.pem": site.authority.certificate_pem,
    }
    container.put_archive("/", lab_archive(files))
    return container


def _in_network_of(site: _Site, target: Any, script: str, *words: str) -> None:
    """Run a command in the network of a container, which itself needs no privilege for it."""
    with signals_held_back():
        site.client.containers.run(
            site.image,
            entrypoint=["sh", "-c", script, "sh", *words],
            name=f"mta-sts-lab-{site.job.plan.run}-route",
            labels=labels_of(site.job.plan.run),
            network_mode=f"container:{target.id}",
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            remove=True,
        )
