"""Files that were named in a call: they may be anything, so no more of them is read than their reader wants."""

from __future__ import annotations

import sys
from pathlib import Path


class Unreadable(Exception):
    """A file that cannot be read; the message says why."""


def beginning_of(name: str, most: int) -> bytes:
    """Return up to so many octets of a file, or of standard input (`-`). Raises `Unreadable`."""
    try:
        if name == "-":
            return sys.stdin.buffer.read(most)
        with Path(name).open("rb") as file:
            return file.read(most)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(f"cannot be read: {reason}") from error
