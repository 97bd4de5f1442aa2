#!/usr/bin/env python3
"""The `clock` hook of a target whose services look at the time through libfaketime.

    advance_clock.py /var/lib/mta-sts-lab/clock

Reads {"advance": seconds} on standard input, adds it to the offset in the clock file and prints the new
total as {"offset": seconds}. Services that run with FAKETIME_TIMESTAMP_FILE set to that file and with
FAKETIME_NO_CACHE=1 see the new time at their next look at the clock. Time only moves forward: a mail server
whose clock runs backwards would be a test of something else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from supervisor import replace_content

# Ten years: far more than the longest max_age, far less than what a 32 bit time can hold.
OFFSET_LIMIT = 10 * 365 * 86400


def requested_advance(request: str) -> int:
    """Read the number of seconds from the body of the request."""
    seconds = json.loads(request).get("advance")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
        raise SystemExit(f'"advance" is a whole number of seconds, not {seconds!r}')
    return seconds


def main() -> None:
    """Advance the clock file named on the command line."""
    clock = Path(sys.argv[1])
    offset = int(clock.read_text()) + requested_advance(sys.stdin.read())
    if offset > OFFSET_LIMIT:
        raise SystemExit(f"the clock cannot be advanced by more than {OFFSET_LIMIT} seconds in all")
    replace_content(clock, f"+{offset}\n")
    print(json.dumps({"offset": offset}))


if __name__ == "__main__":
    main()
