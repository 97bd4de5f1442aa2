"""The life of what a run makes in Docker: it ends with the run, also when this process is killed.

A process that is killed with SIGKILL takes nothing down. So another one, of which no terminal and no shell knows, waits
for its end by a pipe, and removes what is still there then.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import docker
from mta_sts_lab.backends.docker.engine import sweep
from mta_sts_lab.backends.local import signals_held_back

#: What the other process runs. It loads the rest when it is needed. The engine may still be making the last container
#: that it was asked for, so it looks twice.
_WATCH = """
import sys
if not sys.stdin.buffer.read():
    import time
    from mta_sts_lab.backends.docker.engine import EngineError, connect, sweep
    for _ in range(2):
        try:
            sweep(connect(), sys.argv[1])
        except EngineError:
            pass
        time.sleep(2)
"""

#: What tells it that all was taken down.
_ENDED = b"ended"

#: Seconds that it may take to end.
_LONGEST_END = 5.0


@contextlib.contextmanager
def swept(client: docker.DockerClient, run: str) -> Iterator[None]:
    """Remove everything that a run has made when it ends, however it ends."""
    with signals_held_back():
        watch = subprocess.Popen(  # noqa: S603 - this program's own interpreter
            [sys.executable, "-c", _WATCH, run],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with signals_held_back():
            sweep(client, run)
            with contextlib.suppress(subprocess.TimeoutExpired):
                watch.communicate(_ENDED, _LONGEST_END)


def start_with_input(container: Any, octets: bytes) -> None:
    """Start a container, and write to its standard input. It was created with `stdin_open`.

    What is written is on no disk, unlike a file of the container.
    """
    stream = container.attach_socket(params={"stdin": 1, "stream": 1})
    # The socket inside of what the client makes of it. The response, the stream and this are closed in this order.
    connection: socket.socket = getattr(stream, "_sock", stream)
    try:
        container.start()
        connection.sendall(octets)
    finally:
        if response := getattr(stream, "_response", None):
            response.close()
        stream.close()
        connection.close()
