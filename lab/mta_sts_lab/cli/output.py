"""What the commands print, and what becomes of them when nobody reads it any more."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console


#: The exit status that a shell gives a program whose reader has gone.
UNREAD = 141


class OutputClosed(Exception):
    """Whoever read our output has gone (`| head`): there is nobody to tell anything."""


def console(stderr: bool = False) -> Console:
    """Return where a command prints: standard output, or standard error for what is said by the way."""
    from rich.console import Console as AnyConsole

    class PipedConsole(AnyConsole):
        """Rich would end the program with the status of a finding, in the middle of whatever goes on."""

        def on_broken_pipe(self) -> None:
            raise OutputClosed

    return PipedConsole(stderr=stderr, highlight=False)


def aside(screen: Console, text: str) -> None:
    """Print a line that is not what was asked for, only good to know."""
    screen.print(text, style="dim", markup=False, soft_wrap=True)


def say(text: str) -> None:
    """Print plain text to standard output, at once. Raises `OutputClosed`."""
    try:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def leave_unread() -> NoReturn:
    """End the program after `OutputClosed`: without a word, also from the interpreter about its own last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    raise SystemExit(UNREAD)
