"""`sts-lab demo --pause` on a terminal: it waits for a key before each step."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.program import LONGEST, ROOT, Shell

pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")

COMMAND = ("demo", "strip", "--mode", "enforce", "--pause")
ASKED = b"[a key goes on, q ends]"


class Terminal:
    """The far end of the program's terminal: what is on the screen, and the keys."""

    def __init__(self, screen: int) -> None:
        self._screen = screen
        self.seen = b""

    def read(self) -> bool:
        """Read what was printed next. Returns whether there was something before the program had ended."""
        ready, _, _ = select.select([self._screen], [], [], LONGEST)
        assert ready, "nothing was printed for a minute"
        more = b""
        with suppress(OSError):  # Linux says EIO when the program has closed its end.
            more = os.read(self._screen, 65536)
        self.seen += more
        return bool(more)

    def until_asked(self, times: int) -> None:
        """Wait until the program has asked for a key so many times, and listens: what was typed before is dropped."""
        while self.seen.count(ASKED) < times:
            assert self.read(), self.seen.decode()
        give_up = time.monotonic() + LONGEST
        while termios.tcgetattr(self._screen)[3] & termios.ICANON:
            assert time.monotonic() < give_up
            time.sleep(0.005)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._screen, key)


@contextmanager
def _on_a_terminal(folder: Path) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    screen, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mta_sts_lab", *COMMAND],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), "TERM": "xterm"},
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


def test_each_key_shows_one_step_more(tmp_path: Path) -> None:
    with _on_a_terminal(tmp_path) as (terminal, process):
        for number, step in enumerate((b"Step prime", b"Step attack", b"Step recover"), start=1):
            terminal.until_asked(number)
            assert step not in terminal.seen
            terminal.press(b" ")
            terminal.until_asked(number + 1)
            assert step in terminal.seen
        terminal.press(b" ")
        terminal.until_asked(5)
        assert b"What this shows" not in terminal.seen
        terminal.press(b" ")
        while terminal.read():
            pass
        assert process.wait(LONGEST) == 0
    assert b"What this shows" in terminal.seen


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_a_key_ends_it(tmp_path: Path, key: bytes) -> None:
    with _on_a_terminal(tmp_path) as (terminal, process):
        terminal.until_asked(1)
        terminal.press(key)
        while terminal.read():
            pass
        assert process.wait(LONGEST) == 128 + signal.SIGINT
    assert b"Traceback" not in terminal.seen
    assert b"Step attack" not in terminal.seen


def test_without_a_terminal_it_says_why_not(shell: Shell) -> None:
    assert "there is no terminal" in shell(*COMMAND).message(2)
