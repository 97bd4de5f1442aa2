#!/usr/bin/env python3
"""Print what Exim holds, one row for each recipient that has not been delivered to.

Exim's listing does not say whether a message is being tried just now. Whatever tries it has locked the message's data
file, so that is looked at: without taking the lock, which would keep Exim from delivering.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

SPOOL = Path("/var/spool/exim4")
# " 3m  1.2K 1xVbS2-0000000000U-2pqt <sender@sender.example> *** frozen ***", then a line for each recipient, those with
# a D before them delivered. There is no size when the message leaves while Exim looks at it.
# The id of a message has 16 characters up to Exim 4.96, and 23 since then.
HEAD = re.compile(
    r"\s*\d+[smhdw]\s+(?:\S+\s+)?(?P<id>\w{6}-\w{6}-\w{2}|\w{6}-\w{11}-\w{4})"
    r"\s+<(?P<sender>.*)>(?P<frozen> \*\*\* frozen.*)?"
)
DELIVERED = re.compile(r"\s+D \S.*")
RECIPIENT = re.compile(r"\s{10}(?P<recipient>\S.*)")
# A message's own log has a line of this kind for each attempt that put a recipient off.
PUT_OFF = re.compile(r"\S+ \S+ (?P<reason>.* defer \(.*)")
# struct flock of 64 bit Linux: type, whence, start, length, process; padded to its end.
FLOCK = "hhqqi4x"


def being_tried(spool: Path, message: str) -> bool:
    """Tell whether a process has the message locked."""
    try:
        descriptor = os.open(spool / "input" / f"{message}-D", os.O_RDONLY)
    except FileNotFoundError:
        return True  # it left while we looked: that was an attempt
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return bool(answer[0] != fcntl.F_UNLCK)


def last_put_off(spool: Path, message: str) -> str:
    """Return what came of the last attempt that ended; empty if none has."""
    try:
        lines = (spool / "msglog" / message).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    found = [match["reason"] for match in map(PUT_OFF.fullmatch, lines) if match]
    return found[-1] if found else ""


def rows(listing: str, spool: Path) -> Iterator[dict[str, str]]:
    """Read the listing of `exim4 -bp`; end with a message for a line that is not understood."""
    message: dict[str, str] = {}
    for line in listing.splitlines():
        head, recipient = HEAD.fullmatch(line), RECIPIENT.fullmatch(line)
        if head:
            reason = last_put_off(spool, head["id"])
            waits = bool(reason or head["frozen"]) and not being_tried(spool, head["id"])
            message = {
                "id": head["id"],
                "sender": head["sender"],
                "state": "deferred" if waits else "active",
                "reason": " ".join(part for part in ((head["frozen"] or "").strip(), reason) if part),
            }
        elif recipient and message:
            yield message | {"recipient": recipient["recipient"]}
        elif line.strip() and not DELIVERED.fullmatch(line):
            raise SystemExit(f"exim4 -bp printed a line that is not understood: {line!r}")


def main() -> None:
    """Print the queue as the target contract wants it."""
    # Messages come from anywhere: an address that is not UTF-8 must not hide the rest of the queue.
    command = ["exim4", "-bp"]
    listing = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", errors="replace")
    print(json.dumps({"messages": list(rows(listing.stdout, SPOOL))}))


if __name__ == "__main__":
    main()
