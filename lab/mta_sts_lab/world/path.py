"""The path between a target and a host of the lab: where an attacker can stand.

Each listening host hands every accepted connection to its `path`. The default path leads straight to the host; an
attack puts itself there instead, and reaches the genuine host, if it wants to, through a back door.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol

from mta_sts_lab.record import Recorder


@dataclass(frozen=True, slots=True)
class Accepted:
    """A TCP connection that has just arrived. `host` is the name of the host.

    `session` is unique in the run, and empty for the lab's own connection, by which it sees whether a host answers.
    What the host sees and says goes to `recorder`, which is nobody's then.
    """

    sock: socket.socket
    session: str
    case: str
    role: str
    host: str
    address: str
    port: int
    recorder: Recorder


class Host(Protocol):
    """A genuine host, as an attacker on the path sees it."""

    case: str
    role: str
    name: str

    async def serve(self, accepted: Accepted) -> None:
        """Serve a connection honestly, until it ends."""

    async def back_door(self, via: str, address: str) -> tuple[str, int]:
        """Return a loopback address and port that takes exactly one connection for this host.

        The session behind it is recorded with `via`, the attacker's session on the target's side, and with `address`,
        the one of the host that the target connected to.
        """


class Path(Protocol):
    """Something on the path to a host."""

    #: True when connections are refused outright: the host then does not listen at all.
    refuses: bool

    async def take(self, accepted: Accepted, host: Host) -> None:
        """Deal with a connection, until it ends. Owns the socket. The caller records exceptions as lab errors."""


class StraightPath:
    """Nobody on the path."""

    refuses = False

    async def take(self, accepted: Accepted, host: Host) -> None:
        """Hand the connection to the host."""
        await host.serve(accepted)
