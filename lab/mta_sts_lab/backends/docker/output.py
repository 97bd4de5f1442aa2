"""What the lab's container prints: its record, and what it has to say when it cannot play.

The container is attached to instead of asking the engine for its log. A log has each line written as JSON to a file,
read again and decoded by the engine: for 200 cases on chasquid that took as much processor time as the lab itself.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import docker.types

#: The container's output is in no log: only who is attached to it has it.
NO_LOG = docker.types.LogConfig(type="none")


class Output:
    """What a container prints from its start on. It is made before the container is started.

    A thread reads, so that the container never has to wait until this process has worked on what it printed: the lab in
    it would fall behind.
    """

    def __init__(self, container: Any) -> None:
        self._chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._said = bytearray()
        self._problem: Exception | None = None
        self._stream = container.attach(stdout=True, stderr=True, stream=True, demux=True)
        threading.Thread(target=self._read, name="lab's output", daemon=True).start()

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of standard output, until the container ends. Raises what reading them raised."""
        pending = b""
        while chunk := self._chunks.get():
            *lines, pending = (pending + chunk).split(b"\n")
            yield from lines
        if self._problem is not None:
            raise self._problem

    def said(self) -> str:
        """Return what came on standard error; `lines` has come to its end."""
        return self._said.decode(errors="replace").strip()

    def _read(self) -> None:
        try:
            for printed, said in self._stream:
                self._said += said or b""
                if printed:
                    self._chunks.put(printed)
        except Exception as error:  # noqa: BLE001 - raised where the lines are read
            self._problem = error
        finally:
            self._stream.close()
            self._chunks.put(None)
