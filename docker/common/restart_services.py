#!/usr/bin/env python3
"""The `restart` hook of a target that runs under supervisor.py.

    restart_services.py --answering smtp:127.0.0.1:25 --answering tcp:127.0.0.1:8461 postfix mta-sts-daemon

Reads {"signal": "KILL"} or {"signal": "TERM"} on standard input (KILL if nothing is said), sends that signal
to every process of the services named, waits until the last of them has ended (the supervisor starts them
again), waits until the endpoints answer, and prints {"restarted": true}. A service that does not end by that
signal is an error: there is no second, stronger signal.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from answering import Endpoint, NotAnsweringError, wait_until_answering
from supervisor import HOLD_FILE, group_is_empty, pid_file, signal_group

# Some servers finish what they are doing before they end: mta-sts-daemon gives its clients 20 seconds.
ENDED_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.01

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM}


def requested_signal(request: str) -> signal.Signals:
    """Read the signal from the body of the request."""
    name = json.loads(request).get("signal", "KILL")
    if name not in SIGNALS:
        raise SystemExit(f"the signal is KILL or TERM, not {name!r}")
    return SIGNALS[name]


@contextmanager
def nothing_started() -> Iterator[None]:
    """Keep the supervisor from starting anything before everything has ended.

    A mail server started while its old policy daemon is still saying goodbye would find that one, and lose it
    a moment later.
    """
    HOLD_FILE.touch()
    try:
        yield
    finally:
        HOLD_FILE.unlink()
        os.kill(1, signal.SIGCHLD)  # what wakes the supervisor up


def end_services(names: list[str], number: signal.Signals) -> None:
    """Send the signal to all processes of the services and wait until they have ended."""
    groups = {name: int(pid_file(name).read_text()) for name in names}
    for group in groups.values():
        signal_group(group, number)
    deadline = time.monotonic() + ENDED_SECONDS
    for name, group in groups.items():
        while not group_is_empty(group):
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} did not end within {ENDED_SECONDS:g} seconds of {number.name}")
            time.sleep(POLL_INTERVAL_SECONDS)


def main() -> None:
    """Restart the services named on the command line."""
    parser = argparse.ArgumentParser(description="End services with a signal and wait until they are back.")
    parser.add_argument("--answering", action="append", type=Endpoint.parsed, default=[], metavar="ENDPOINT")
    parser.add_argument("service", nargs="+")
    options = parser.parse_args()
    number = requested_signal(sys.stdin.read())
    with nothing_started():
        end_services(options.service, number)
    try:
        wait_until_answering(options.answering)
    except NotAnsweringError as problem:
        raise SystemExit(str(problem)) from problem
    print(json.dumps({"restarted": True}))


if __name__ == "__main__":
    main()
