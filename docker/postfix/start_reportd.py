#!/usr/bin/env python3
"""Become tlsrpt-reportd, having put aside what it could not live with: a domain that names one address twice.

tlsrpt-reporter 0.6.0 notes where each report goes under a key of address and report. A record with the same address
twice breaks that key: the reporter ends with an IntegrityError, and again whenever it is started, until the day is
forgotten after ten days. Nobody gets a report any more. That is its doing, and is judged at the domain that has such a
record: it never gets its report. Everybody else's are to be judged, too, so the next start clears the way.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

REPORTS = Path("/var/lib/tlsrpt/reportd.sqlite")
UNREPORTED = (
    "SELECT day, domain, data FROM reportdata "
    "WHERE data IS NOT NULL AND (day, domain) NOT IN (SELECT day, domain FROM reports)"
)


def names_one_address_twice(data: str) -> bool:
    """Tell whether a domain's counts are filed under a record that the reporter chokes on, read as it reads it."""
    for record in json.loads(data):
        _, _, fields = record.partition(";")
        rua = fields.partition(";")[0].strip()
        addresses = rua.removeprefix("rua=").split(",") if rua.startswith("rua=") else []
        if len(set(addresses)) < len(addresses):
            return True
    return False


def clear_the_way(reports: Path) -> list[str]:
    """Forget such domains' counts; return their names."""
    with closing(sqlite3.connect(reports)) as database, database:
        fatal = [(day, domain) for day, domain, data in database.execute(UNREPORTED) if names_one_address_twice(data)]
        database.executemany("DELETE FROM reportdata WHERE day = ? AND domain = ?", fatal)
    return [domain for _, domain in fatal]


def main() -> None:
    """Look, clear, and become the program on the command line."""
    if REPORTS.exists():
        for domain in clear_the_way(REPORTS):
            print(f"(lab) {domain} is put aside: its record names one address twice", file=sys.stderr, flush=True)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
