"""`sts-lab demo --pause` on a terminal: it waits for a key before each step."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.cli.program import LONGEST, Shell
from tests.cli.terminal import Terminal, on_a_terminal

termios = pytest.importorskip("termios")

COMMAND = ("demo", "strip", "--mode", "enforce", "--pause")
ASKED = b"[a key goes on, q ends]"


def until_asked(terminal: Terminal, times: int) -> None:
    """Wait until the program has asked for a key so many times, and listens: what was typed before is dropped."""
    terminal.until(ASKED, times)
    give_up = time.monotonic() + LONGEST
    while termios.tcgetattr(terminal.screen)[3] & termios.ICANON:
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_each_key_shows_one_step_more(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, *COMMAND) as (terminal, process):
        for number, step in enumerate((b"Step prime", b"Step attack", b"Step recover"), start=1):
            until_asked(terminal, number)
            assert step not in terminal.seen
            terminal.press(b" ")
            until_asked(terminal, number + 1)
            assert step in terminal.seen
        terminal.press(b" ")
        until_asked(terminal, 5)
        assert b"What this shows" not in terminal.seen
        terminal.press(b" ")
        while terminal.read():
            pass
        assert process.wait(LONGEST) == 0
    assert b"What this shows" in terminal.seen


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_a_key_ends_it(tmp_path: Path, key: bytes) -> None:
    with on_a_terminal(tmp_path, *COMMAND) as (terminal, process):
        until_asked(terminal, 1)
        terminal.press(key)
        while terminal.read():
            pass
        assert process.wait(LONGEST) == 128 + signal.SIGINT
    assert b"Traceback" not in terminal.seen
    assert b"Step attack" not in terminal.seen


def test_without_a_terminal_it_says_why_not(shell: Shell) -> None:
    assert "there is no terminal" in shell(*COMMAND).message(2)
