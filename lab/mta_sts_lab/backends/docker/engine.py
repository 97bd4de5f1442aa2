"""Access to the Docker engine: connecting, listing and removing what runs made there.

Everything that a run makes carries the run's id in its name and labels that say whose it is, so that parallel runs do
not collide and what a killed run left behind can be found.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import requests

import docker
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.timeouts import CONTAINER_GONE

RUN_LABEL = "mta-sts-lab.run"
OWNER_LABEL = "mta-sts-lab.owner"


class EngineError(BackendError):
    """Docker does not answer, or refused a request. The message says what to do."""


def connect() -> docker.DockerClient:
    """Return a client of the engine that the environment names (DOCKER_HOST, or the local socket)."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineError(
            "no Docker engine answers: start one (for instance `sudo systemctl start docker`), see that you may use it "
            f"(`docker info`), or set DOCKER_HOST. The reference sender needs none. ({_first_line(error)})"
        ) from error
    return client


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn an error of the engine, or of the connection to it, into an `EngineError` that names the action."""
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineError(f"{what}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]


def owner() -> str:
    """Return an id of this process that is unique, also among later processes with the same PID."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_of(os.getpid())}"


def owner_lives(label: str) -> bool:
    """Whether the process that a label names still runs.

    An unreadable label counts as dead; another machine's as alive.
    """
    try:
        host, process, started = label.rsplit(":", 2)
        number = int(process)
    except ValueError:
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return started == _start_of(number)


def _start_of(process: int) -> str:
    """Return when a process began, in the kernel's ticks; empty where there is no /proc."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A container or network that a run made. `kind` is container or network."""

    kind: str
    name: str
    run: str
    orphaned: bool


def leftovers(client: docker.DockerClient) -> list[Leftover]:
    """Return all containers and networks of runs, also of those still going."""
    return _labelled(client, RUN_LABEL)


def sweep(client: docker.DockerClient, run: str) -> None:
    """Remove everything that a run made. Raises `EngineError` if something cannot be removed."""
    with engine_errors("taking the run's containers and network down"):
        for leftover in _containers_first(_labelled(client, f"{RUN_LABEL}={run}")):
            remove(client, leftover)
        left = [leftover.name for leftover in _labelled(client, f"{RUN_LABEL}={run}")]
    if left:
        raise EngineError(f"{', '.join(left)} could not be removed; `sts-lab clean` tries again")


def _labelled(client: docker.DockerClient, label: str) -> list[Leftover]:
    query = {"label": label}
    # Without `ignore_removed` one that goes in the middle of the listing makes it fail.
    containers = client.containers.list(all=True, filters=query, ignore_removed=True)
    found: list[tuple[str, Any]] = [("container", thing) for thing in containers]
    found += [("network", thing) for thing in client.networks.list(filters=query)]
    return [_leftover(kind, thing) for kind, thing in found]


def _leftover(kind: str, thing: Any) -> Leftover:
    labels = thing.labels if kind == "container" else thing.attrs.get("Labels", {})
    return Leftover(kind, thing.name, labels.get(RUN_LABEL, "?"), not owner_lives(labels.get(OWNER_LABEL, "")))


def remove(client: docker.DockerClient, leftover: Leftover) -> None:
    """Remove a container or a network. It is no error if it is already gone."""
    try:
        if leftover.kind == "container":
            client.containers.get(leftover.name).remove(force=True, v=True)
        else:
            client.networks.get(leftover.name).remove()
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != _ALREADY_GOING:
            raise EngineError(f"cannot remove {leftover.kind} {leftover.name}: {_first_line(error)}") from error
        _wait_until_gone(client, leftover.name)


#: HTTP status of the engine for a container that somebody else is removing at this moment.
_ALREADY_GOING = 409


def _wait_until_gone(client: docker.DockerClient, container: str) -> None:
    """Wait for a container that somebody else is removing: its network cannot go before it."""
    with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
        client.containers.get(container).wait(condition="removed", timeout=CONTAINER_GONE.seconds)


def _containers_first(leftovers: list[Leftover]) -> list[Leftover]:
    """A network in use cannot go."""
    return sorted(leftovers, key=lambda item: item.kind)


def clean(client: docker.DockerClient, everything: bool = False) -> list[Leftover]:
    """Remove what runs that no longer live left behind (or, with `everything`, all that is ours). Return what went."""
    with engine_errors("looking for what is left"):
        going = [leftover for leftover in leftovers(client) if everything or leftover.orphaned]
        for leftover in _containers_first(going):
            remove(client, leftover)
    return going
