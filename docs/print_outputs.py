#!/usr/bin/env python3
"""Put the program's own output into the documents.

A code block that follows a line like `<!-- printed by: sts-lab lint -->` is replaced by what that command prints.
`--check` changes nothing and names the documents with blocks that differ. Blocks marked `<!-- printed once by: ... -->`
hold random names and times, or need Docker: they are left alone unless `--once` asks for them.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"<!-- printed (?P<once>once )?by: (?P<command>.+?)(?: \| lines (?P<lines>[^>]+?))? -->\n"
    r"```\w*\n(?P<text>.*?)```",
    re.DOTALL,
)


def main() -> int:
    """Replace or check every block of every document; return the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="only say what differs")
    arguments.add_argument(
        "--once",
        nargs="?",
        const="",
        metavar="TEXT",
        help="also renew the blocks with random names and times; with TEXT those whose command contains it",
    )
    wanted = arguments.parse_args()
    stale = 0
    for document in sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]):
        text = document.read_text(encoding="utf-8")
        renewed = BLOCK.sub(lambda found: _renewed(found, wanted.once), text)
        if renewed != text:
            stale += 1
            sys.stderr.write(f"{document.relative_to(ROOT)}: shows what the program does not print\n")
            if not wanted.check:
                document.write_text(renewed, encoding="utf-8")
    return 1 if wanted.check and stale else 0


def _renewed(found: re.Match[str], once: str | None) -> str:
    if found["once"] and (once is None or once not in found["command"]):
        return found[0]
    printed = _printed(found["command"])
    if found["lines"]:
        printed = _excerpt(printed, found["lines"])
    head = found[0][: found.start("text") - found.start()]
    return f"{head}{printed}```"


def _excerpt(printed: str, lines: str) -> str:
    """Return the lines from one that contains the first words to one that contains the last: `from ... to ...`."""
    first, last = (part.strip() for part in lines.split("...", 1))
    kept: list[str] = []
    for line in printed.splitlines(keepends=True):
        if kept or first in line:
            kept.append(line)
        if kept and last in line:
            break
    return "".join(kept)


def _printed(command: str) -> str:
    """Run a command in a pipe of 80 columns, and return what it prints."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(  # noqa: S603 - the documents' own commands
        shlex.split(command), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    text = done.stdout.replace(f"{ROOT}/", "")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


if __name__ == "__main__":
    sys.exit(main())
