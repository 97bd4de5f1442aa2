#!/usr/bin/env python3
"""Print what sendmail holds, one row for each recipient that has not been delivered to.

Read from the control files themselves (their form is described in sendmail's Installation and Operation Guide, appendix
B), not from `sendmail -bp`: that takes a lock on each message to see whether it is being tried, and a queue runner that
comes by just then leaves the message for another time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

QUEUE = Path("/var/spool/mqueue")
# qf: a control file; Qf: one that sendmail found to be damaged; hf: a message in quarantine. tf is a qf in the making.
CONTROL_FILES = ("qf", "Qf", "hf")
# "3: FLOCK  ADVISORY  WRITE 24 00:3d:2982729 0 EOF": the last number before the range is the file's.
LOCK = re.compile(r"\d+: FLOCK\s.*:(\d+) \d+ \w+")


def locked_files() -> set[int]:
    """Return the inodes of all files that are locked: whatever tries a message locks its control file."""
    found = map(LOCK.fullmatch, Path("/proc/locks").read_text().splitlines())
    return {int(match[1]) for match in found if match}


def rows(file: Path, locked: set[int]) -> Iterator[dict[str, str]]:
    """Read one control file; nothing if it left while we looked."""
    try:
        inode, lines = file.stat().st_ino, file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return
    fields = [(line[:1], line[1:]) for line in lines]
    attempts = next((int(value) for kind, value in fields if kind == "N"), 0)
    on_its_way = file.name.startswith("qf") and (inode in locked or attempts == 0)
    message = {
        "id": file.name[2:],
        "sender": next((value.strip("<>") for kind, value in fields if kind == "S"), ""),
        "state": "active" if on_its_way else "deferred",
        "reason": "",
    }
    for kind, value in fields:
        if kind == "M":  # of the message as a whole, or of the recipients that follow
            message["reason"] = value
        elif kind == "R":
            yield message | {"recipient": value.partition(":")[2].strip("<>")}


def held(queue: Path) -> Iterator[dict[str, str]]:
    """Read the whole queue.

    A message that comes to its end between the two looks has left, or has been written anew and says what came of it.
    """
    locked = locked_files()
    for file in sorted(queue.iterdir()):
        if file.name.startswith(CONTROL_FILES):
            yield from rows(file, locked)


if __name__ == "__main__":
    print(json.dumps({"messages": list(held(QUEUE))}))
