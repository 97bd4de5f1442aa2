#!/usr/bin/python3
"""Print log files whole, several under headings with their names: what `GET /logs` answers.

    show_logs.py FILE...    files that are not there are left out

Beyond LARGEST octets of all files together each is cut at its beginning, and its heading says so.
"""

import os
import sys

# A little less than contract_server.py passes on. The log of a run of the whole catalogue on Postfix has 2 MiB.
LARGEST = 60 << 20
CHUNK = 1 << 20


def show(paths, out, largest=LARGEST):
    """Write the files to `out`, a stream of octets."""
    there = [path for path in paths if os.path.exists(path)]
    whole = sum(map(os.path.getsize, there)) <= largest
    for path in there:
        with open(path, "rb") as log:
            size = os.fstat(log.fileno()).st_size
            left_out = 0 if whole else max(0, size - largest // len(there))
            if len(paths) > 1:
                out.write(f"==> {path} <==\n".encode())
            if left_out:
                out.write(f"--- the first {left_out} octets of {path} are left out: it is too long\n".encode())
                log.seek(left_out)
            # The mail server goes on writing: no more than was there.
            left = size - left_out
            while left > 0 and (octets := log.read(min(left, CHUNK))):
                out.write(octets)
                left -= len(octets)


if __name__ == "__main__":
    show(sys.argv[1:], sys.stdout.buffer)
