"""`sts-lab` as its users start it: in this process where only the answer counts, as a process where signals and pipes do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.cli import main

ROOT = Path(__file__).resolve().parents[2]

#: Seconds. Nothing here takes more than three on an idle machine.
LONGEST = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    def message(self, status: int) -> str:
        """Return the one message of a command that could not do what was asked."""
        assert self.status == status, (self.status, self.err)
        assert self.err.startswith("sts-lab: "), self.err
        assert self.err.count("sts-lab: ") == 1
        assert "Traceback" not in self.err
        return self.err


class Shell:
    """Calls the program in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)

    def __call__(self, *arguments: str) -> Answer:
        """Run a command and return how it ended."""
        self._monkeypatch.setattr(sys, "argv", ["sts-lab", *arguments])
        self._capsys.readouterr()
        status: Any = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
        said = self._capsys.readouterr()
        return Answer(int(status or 0), said.out, said.err)

    def runs(self) -> list[Path]:
        """Return the folders of the runs so far."""
        return sorted((self.folder / "runs").glob("*/"))

    def left(self) -> list[str]:
        """Return everything that lies about."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start the program as a process of its own, in a folder."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **options.pop("environment", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "mta_sts_lab", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        preexec_fn=options.pop("preexec_fn", _hear_interrupts),  # noqa: PLW1509 - one signal handler, no threads
        **options,
    )


def _hear_interrupts() -> None:
    """Undo what a shell does to its background jobs, and nohup to its own: they ignore Ctrl-C and hang-ups."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def end(process: subprocess.Popen[bytes], longest: float = LONGEST) -> Answer:
    """Wait for a process; one that does not end is ended, and the test with it."""
    try:
        out, err = process.communicate(timeout=longest)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Answer(process.returncode, (out or b"").decode(), err.decode())


def until(process: subprocess.Popen[bytes], condition: Callable[[], bool], longest: float = LONGEST) -> None:
    """Wait for something that a running process does."""
    give_up = time.monotonic() + longest
    while not condition():
        assert process.poll() is None, "it ended too soon: " + end(process).err
        assert time.monotonic() < give_up
        time.sleep(0.005)


def record_in(folder: Path) -> Path | None:
    """Return the record of the only run in a folder, once it is there."""
    return next(iter(folder.glob("runs/*/record.jsonl")), None)


def on_record(folder: Path, text: str) -> bool:
    """Whether the record of the only run says something yet."""
    path = record_in(folder)
    return path is not None and text.encode() in path.read_bytes()
