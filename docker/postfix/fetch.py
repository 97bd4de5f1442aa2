#!/opt/tlsrpt-reporter/bin/python -IS
"""tlsrpt-fetcher, as quick as a program in Python can start: the work is done in a process that fetch_server.py forks.

The reporter starts its fetcher anew for every domain, one after the other. Nine tenths of that is Python loading the
same modules: with 190 domains a run waited 19 seconds. Where no server answers the fetcher itself is started.
"""

from __future__ import annotations

import os
import sys
from socket import AF_UNIX, SHUT_WR, socket

FETCHER = "/opt/tlsrpt-reporter/bin/tlsrpt-fetcher"


def main() -> None:
    """Pass on what is asked and what is answered."""
    with socket(AF_UNIX) as server:
        try:
            server.connect(os.environ.get("FETCH_SOCKET", "/var/lib/tlsrpt/fetch.sock"))
        except (FileNotFoundError, ConnectionRefusedError):
            os.execv(FETCHER, [FETCHER, *sys.argv[1:]])
        server.sendall("\0".join(sys.argv[1:]).encode("utf-8", "surrogateescape"))
        server.shutdown(SHUT_WR)
        while octets := server.recv(65536):
            sys.stdout.buffer.write(octets)


if __name__ == "__main__":
    main()
