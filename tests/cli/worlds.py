"""Worlds that `sts-lab up` and `run --keep` leave up, and how to enter them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cli.program import LONGEST, Shell, until


@dataclass
class Up:
    """What the program has printed about a world."""

    text: str
    status: int | None = None

    def row(self, name: str) -> str:
        found = re.search(rf"^  {name} +(.+)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def enter(self, side: str, *command: str) -> str:
        """Run a command on one side of the world, by the command that was printed."""
        enter = [word for word in shlex.split(self.row(f"enter the {side}'s side")) if word != "-it"]
        assert enter.pop() == "sh"
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def world(shell: Shell, *arguments: str, longest: float = LONGEST) -> Iterator[Up]:
    """Start the program, wait until the world is up, and send Ctrl-C afterwards."""
    said = shell.folder / "said.txt"
    with said.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "mta_sts_lab", *arguments],
            cwd=shell.folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "COLUMNS": "200"},
        )
    until(process, lambda: "Ctrl-C takes it down" in said.read_text(), longest)
    up = Up(said.read_text())
    try:
        yield up
    finally:
        process.send_signal(signal.SIGINT)
        up.status = process.wait(LONGEST)
        up.text = said.read_text()
