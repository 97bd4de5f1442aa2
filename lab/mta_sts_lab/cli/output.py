"""What the commands print, and what becomes of them when nobody reads it any more."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


#: The exit status that a shell gives a program whose reader has gone.
UNREAD = 141


class OutputClosed(Exception):
    """Whoever read our output has gone (`| head`): there is nobody to tell anything."""


class OutputFull(Exception):
    """The output cannot be written, because the disk is full for example. The message says why."""


def escape_what_cannot_be_shown() -> None:
    """Let a terminal or file that takes no UTF-8 show other characters as escapes, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise OutputFull(f"the output cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def its_help_written() -> Iterator[None]:
    """Raise `OutputFull` where typer could not write its help: it writes to the stream itself."""
    try:
        yield
    except OSError as error:
        if "--help" not in sys.argv or error.errno != errno.ENOSPC:
            raise
        raise OutputFull(f"the output cannot be written: {error.strerror}") from error


def console(stderr: bool = False) -> Console:
    """Return where a command prints: standard output, or standard error for what is said by the way."""
    from rich.console import Console as AnyConsole

    class PipedConsole(AnyConsole):
        """Rich would end the program with the status of a finding, in the middle of whatever goes on."""

        def on_broken_pipe(self) -> None:
            raise OutputClosed

        def print(self, *objects: Any, **options: Any) -> None:
            with _written():
                super().print(*objects, **options)

    return PipedConsole(stderr=stderr, highlight=False)


def aside(screen: Console, text: str) -> None:
    """Print a line that is not what was asked for, only good to know."""
    screen.print(text, style="dim", markup=False, soft_wrap=True)


def refuse_unwritable(option: str, path: Path) -> None:
    """Raise `UsageError`, before anything is played, if there can be no file where an option wants one."""
    from mta_sts_lab.runs.errors import UsageError

    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")


def say(text: str) -> None:
    """Print plain text to standard output, at once. Raises `OutputClosed` and `OutputFull`."""
    with _written():
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()


def say_document(text: str) -> None:
    """Print a JSON document as `say` does, but in UTF-8 whatever the terminal takes (RFC 8259, section 8.1)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        with _written():
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode() if text.endswith("\n") else f"{text}\n".encode())
            sys.stdout.flush()
    else:
        say(text)


def leave(message: str, status: int) -> NoReturn:
    """End the program with one message, on standard error, and a status that nothing left in a buffer can change."""
    _drop(sys.stdout)
    try:
        sys.stderr.write(f"sts-lab: {message}\n")
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)
    raise SystemExit(status) from None


def leave_unread() -> NoReturn:
    """End the program after `OutputClosed`: without a word, also from the interpreter about its own last flush."""
    for stream in (sys.stdout, sys.stderr):
        _drop(stream, always=True)
    raise SystemExit(UNREAD)


def _drop(stream: TextIO, always: bool = False) -> None:
    """Write no more to a stream that cannot be written to: the interpreter's last flush would change the status."""
    try:
        if not always:
            stream.flush()
            return
    except OSError:
        pass
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
