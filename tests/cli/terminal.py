"""Runs the program on a terminal of its own: what is on the screen, and the keys."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.program import LONGEST, ROOT

pty = pytest.importorskip("pty")


class Terminal:
    """The far end of the program's terminal."""

    def __init__(self, screen: int) -> None:
        self.screen = screen
        self.seen = b""

    def read(self) -> bool:
        """Read what was printed next. Returns whether there was something before the program had ended."""
        ready, _, _ = select.select([self.screen], [], [], LONGEST)
        assert ready, "nothing was printed for a minute"
        more = b""
        with suppress(OSError):  # Linux says EIO when the program has closed its end.
            more = os.read(self.screen, 65536)
        self.seen += more
        return bool(more)

    def until(self, mark: bytes, times: int = 1) -> None:
        """Wait until something was printed so many times."""
        while self.seen.count(mark) < times:
            assert self.read(), self.seen.decode()

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self.screen, key)


@contextmanager
def on_a_terminal(folder: Path, *command: str) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """Run the program with some words in a folder; it is ended at the end."""
    screen, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mta_sts_lab", *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "COLUMNS": "100",
        },
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        try:
            yield Terminal(screen), process
        finally:
            if process.poll() is None:
                process.kill()
            os.close(screen)
