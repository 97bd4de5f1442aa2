"""How to enter the namespaces of a run: the commands that are printed for a world that stays up."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from mta_sts_lab.backends.process.target_init import PLACE
from mta_sts_lab.backends.staying import Doors


def doors(starter: int, as_user: bool, port: int, ca_file: Path) -> Doors:
    """Return how to enter both sides of a run; `starter` is the process that made the namespaces."""
    target, lab = _innermost(starter, "target_init.py"), _innermost(starter, "mta_sts_lab.backends.process.inside")
    user = ("--user", "--preserve-credentials") if as_user else ()
    shell = ("sh",)
    return Doors(
        target=shlex.join(
            ["nsenter", f"--target={target}", *user, "--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/", *shell]
        ),
        lab=shlex.join(["nsenter", f"--target={lab}", *user, "--net", "--wd=/", *shell]),
        ca_file=f"{PLACE}/ca.pem on the mail server's side; {ca_file} here",
        takes_mail=f"127.0.0.1:{port} on its side",
    )


def _innermost(starter: int, program: str) -> int:
    """Return the last descendant whose command line names a program: those before it only start it."""
    found = [process for process in _descendants(starter) if program in _command_line(process)]
    return found[-1] if found else starter


def _descendants(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for children in sorted(Path(f"/proc/{process}/task").glob("*/children")):
            for child in children.read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _command_line(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
