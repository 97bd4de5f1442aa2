"""Plays as a container of somebody's own project, beside their mail server, without the container engine."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from mta_sts_lab.backends.joined.asked import authority_of, joined_by, needs, served_plan, show_ca
from mta_sts_lab.backends.local import run_interruptibly
from mta_sts_lab.backends.registry import Job, TargetRefused
from mta_sts_lab.backends.served import play_here
from mta_sts_lab.world.pki import Authority

#: Files by which Docker and Podman mark a container. The addresses of the world must not become local to a machine.
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")

#: Seconds between two look-ups of the mail server's name.
_POLL = 0.5


def play(job: Job) -> str | None:
    """Play a job against the mail server of a name; see `Backend.play`."""
    authority = authority_of(job)
    show_ca(job, authority)
    route = "set it in the mail server's container, by way of this one"
    for line in needs(job, "the network of this container", route):
        job.say(line)
    run_interruptibly(_play(job, authority))
    return ""


def check_in_container() -> None:
    """Raise `TargetRefused` outside of a container."""
    if not any(Path(mark).exists() for mark in CONTAINER_MARKS):
        raise TargetRefused(
            "--at is for the lab as a container of your own project, and this is none; from here the lab joins with "
            "--network and --container"
        )


async def _play(job: Job, authority: Authority) -> None:
    address = await _address_of(job)
    await play_here(served_plan(job, address), authority, job.outlet, job.directory)


async def _address_of(job: Job) -> str:
    """Return the address of the mail server when its name has one. It is waited for until somebody presses Ctrl-C."""
    name = joined_by(job).container
    said = False
    while True:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET)
        except OSError:
            if not said:
                job.say(f"waiting until {name} is up")
            said = True
            await asyncio.sleep(_POLL)
        else:
            return str(found[0][4][0])
