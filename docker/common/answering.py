#!/usr/bin/env python3
"""Wait until network services answer.

As a program: wait, then become another program, which so starts only when everything it stands for is there.

    answering.py smtp:127.0.0.1:25 tcp:127.0.0.1:8461 datagram:/run/collector.sock -- contract_server.py

`smtp` means that an SMTP server greets with 220, `tcp` that a connection is accepted, `datagram` that somebody has
bound a local socket of that name. A listening socket alone says little about a mail server: the kernel accepts
connections before the server has looked at one.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from typing import Self

# A mail system that does not answer within this time after its start is broken.
ANSWERING_SECONDS = 25.0
POLL_INTERVAL_SECONDS = 0.02
ATTEMPT_SECONDS = 5.0


class NotAnsweringError(Exception):
    """Something did not answer in time; the message says what, and how long we waited."""


@dataclass(frozen=True)
class Endpoint:
    """A service that can be asked whether it is there. `host` is a path, and `port` 0, where it has a local socket."""

    protocol: str
    host: str
    port: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Read an endpoint as it stands on a command line: smtp:127.0.0.1:25."""
        protocol, _, address = text.partition(":")
        if protocol == "datagram" and address.startswith("/"):
            return cls(protocol, address, 0)
        host, _, port = address.rpartition(":")
        if protocol not in ("smtp", "tcp") or not host or not port.isdigit():
            raise ValueError(f"{text!r} is not of the form smtp:HOST:PORT, tcp:HOST:PORT or datagram:/PATH")
        return cls(protocol, host, int(port))

    def __str__(self) -> str:
        return f"{self.protocol}:{self.host}" + (f":{self.port}" if self.port else "")

    def answers(self) -> bool:
        """Try once."""
        if self.protocol == "datagram":
            return is_bound(self.host)
        try:
            with socket.create_connection((self.host, self.port), timeout=ATTEMPT_SECONDS) as connection:
                return self.protocol == "tcp" or greets(connection)
        except OSError:
            return False


def is_bound(path: str) -> bool:
    """Tell whether a process holds the local datagram socket of this name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def greets(connection: socket.socket) -> bool:
    """Tell whether an SMTP server says 220, and take leave of it in the proper way."""
    with connection.makefile("rwb") as stream:
        greeting = stream.readline(1000)
        stream.write(b"QUIT\r\n")
        stream.flush()
        stream.readline(1000)
    return greeting.startswith(b"220")


def wait_until_answering(endpoints: list[Endpoint], seconds: float = ANSWERING_SECONDS) -> None:
    """Return when every endpoint has answered; raise NotAnsweringError when that takes too long."""
    deadline = time.monotonic() + seconds
    for endpoint in endpoints:
        while not endpoint.answers():
            if time.monotonic() > deadline:
                raise NotAnsweringError(f"{endpoint} did not answer within {seconds:g} seconds")
            time.sleep(POLL_INTERVAL_SECONDS)


def main() -> None:
    """Wait for the endpoints before the `--`, then become the command after it."""
    separator = sys.argv.index("--")
    endpoints = [Endpoint.parsed(text) for text in sys.argv[1:separator]]
    command = sys.argv[separator + 1 :]
    try:
        wait_until_answering(endpoints)
    except NotAnsweringError as problem:
        raise SystemExit(f"answering: {problem}") from problem
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
