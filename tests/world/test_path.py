"""The straight path is no detour."""

from __future__ import annotations

import socket

from mta_sts_lab.record import Recorder
from mta_sts_lab.world.path import Accepted, StraightPath


class Host:
    """Remembers whom it served."""

    case, role, name = "a/b[enforce]", "mx", "mx1.x.example"

    def __init__(self) -> None:
        self.served: list[Accepted] = []

    async def serve(self, accepted: Accepted) -> None:
        self.served.append(accepted)

    async def back_door(self, via: str, address: str) -> tuple[str, int]:
        raise AssertionError("nobody is in between")


async def test_it_hands_the_connection_to_the_host() -> None:
    host = Host()
    with socket.socket() as sock:
        accepted = Accepted(sock, "s1", host.case, host.role, host.name, "198.18.64.4", 25, Recorder())
        await StraightPath().take(accepted, host)
    assert host.served == [accepted]
    assert StraightPath.refuses is False
