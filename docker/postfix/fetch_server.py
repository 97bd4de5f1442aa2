#!/opt/tlsrpt-reporter/bin/python
"""Run tlsrpt-fetcher, unchanged, in a new process for each request of fetch.py, with its modules loaded before."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, socket

FETCHER = "/opt/tlsrpt-reporter/bin/tlsrpt-fetcher"
SOCKET = Path(os.environ.get("FETCH_SOCKET", "/var/lib/tlsrpt/fetch.sock"))


def answer(connection: socket, fetch: Callable[[], object]) -> None:
    """Read the arguments of one request, and let the fetcher write to the connection instead of standard output."""
    with connection.makefile("rb") as asked:
        arguments = asked.read().decode("utf-8", "surrogateescape").split("\0")
    os.dup2(connection.fileno(), sys.stdout.fileno())
    sys.argv = [FETCHER, *arguments]
    try:
        fetch()
    finally:
        sys.stdout.flush()


def answer_in_child(connection: socket, fetch: Callable[[], object]) -> None:
    """Do so in a new process, which ends with the answer."""
    if os.fork():
        return
    try:
        answer(connection, fetch)
    except BaseException as error:  # noqa: BLE001 - the child must never come back into the loop of the server
        if not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(0)


def main() -> None:
    """Answer requests for ever."""
    from tlsrpt_reporter.tlsrpt import tlsrpt_fetcher_main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with suppress(FileNotFoundError):
        SOCKET.unlink()
    with socket(AF_UNIX) as listener:
        listener.bind(str(SOCKET))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                answer_in_child(connection, tlsrpt_fetcher_main)


if __name__ == "__main__":
    main()
