#!/usr/bin/env python3
"""The `reports` hook: end the reporter's day, and return when the reports about it have left.

tlsrpt-reporter runs as it would anywhere: a collector that counts, and a reporter that asks it for the day before and
sends. Both look at a calendar of their own (libfaketime); this program turns its page and waits, step by step, for what
the two then do by themselves:

1. counted:    the collector has taken everything that Postfix told it before the day's end;
2. caught-up:  the reporter is through with the day before, which else would be lost (midnight may just have passed);
3. day-ended:  the collector has put the day aside, which it does at the first datagram of the new day;
4. reported:   the reporter has made a report for every domain, and has tried to deliver each one that is due;
5. handed-on:  Postfix has tried all report mail: what it was given now, and what it held from earlier days.

Prints {"sent": number} with how many reports about the day left, how many did not (the other side refused them, or
could not be reached), and the day. A step that takes too long is an error that names it. Without sessions there are no
reports, and this takes a second.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket
from termios import TIOCOUTQ

from supervisor import replace_content

CALENDAR = Path("/var/lib/mta-sts-lab/calendar")
COLLECTOR_SOCKET = "/var/spool/postfix/run/tlsrpt/tlsrpt.sock"
# What the collector has put aside, and what the reporter has made of it.
ENDED_DAY = Path("/var/lib/tlsrpt/collectd.sqlite.yesterday")
REPORTS = Path("/var/lib/tlsrpt/reportd.sqlite")

# A datagram as Postfix sends them, about nothing: the collector looks at the date, and counts no session.
NO_SESSION = b'{"dpv": "1", "policies": []}'

# All steps together, and less than the contract server gives a hook here, and the lab a call for reports (180).
# Seen: 12 s for 110 domains on two cores, 35 s for 150 on two that six others used as well.
ALL_STEPS_SECONDS = 170.0
# A look costs the reporter a turn at its database, and 2 ms of processor time.
POLL_INTERVAL_SECONDS = 0.1
# How long a look into a database waits for whoever is writing to it.
LOCK_SECONDS = 5.0

# What the reporter still has to do: days to ask about, domains to make a report for, reports to send. A report that was
# refused is left alone until it is due again: on the reporter's calendar minutes later, here with the next page at the
# latest.
STILL_TO_DO = (
    "SELECT COUNT(*) FROM fetchjobs WHERE status IS NULL",
    "SELECT COUNT(*) FROM reportdata WHERE (day, domain) NOT IN (SELECT day, domain FROM reports)",
    "SELECT COUNT(*) FROM destinations WHERE status IS NULL AND (retries = 0 OR nexttry <= :now)",
)

MAIL_LOG = Path("/var/log/mail.log")
# What Postfix logs of a message from the sendmail command. Nobody but the reporter uses that.
PICKED_UP = re.compile(r" postfix/pickup\[\d+\]: (\w+): uid=")


class Timeouts:
    """What is left of the time for all steps; knows the step that it is being spent on."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._seconds = seconds

    def wait(self, step: str, done: Callable[[], bool]) -> None:
        """Return when it is done; end the program, with the step's name, when that takes too long."""
        while not done():
            if time.monotonic() - self._began > self._seconds:
                raise SystemExit(f"{step}: not done within {self._seconds:g} seconds of the request")
            time.sleep(POLL_INTERVAL_SECONDS)


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database of the reporter's for reading."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=LOCK_SECONDS)) as connection:
        yield connection


def number(connection: sqlite3.Connection, query: str, **parameters: str) -> int:
    """Return the one number that a query asks for."""
    return int(connection.execute(query, parameters).fetchone()[0])


def all_taken(sender: socket) -> bool:
    """Tell whether the collector has taken all that this socket sent.

    A datagram counts as unsent until its reader has taken it. The collector reads in turn, and is done with one before
    it takes the next, so that it is done with everything that was sent earlier, by whomever.
    """
    return int.from_bytes(fcntl.ioctl(sender, TIOCOUTQ, bytes(4)), sys.byteorder) == 0


def tell_collector(timeouts: Timeouts, step: str) -> None:
    """Send the collector a datagram about nothing, and wait until it has been taken."""
    with socket(AF_UNIX, SOCK_DGRAM) as sender:
        sender.setblocking(False)
        timeouts.wait(step, lambda: sent(sender))
        timeouts.wait(step, lambda: all_taken(sender))


def sent(sender: socket) -> bool:
    """Try to send; the collector's queue may be full, or the collector may be starting."""
    try:
        sender.sendto(NO_SESSION, COLLECTOR_SOCKET)
    except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
        return False
    # What counts the unsent octets belongs to the sender, and is only kept while it stays.
    return True


def now_on(calendar: Path) -> datetime:
    """Return the time on the reporter's calendar."""
    return datetime.now(UTC) + timedelta(seconds=int(calendar.read_text()))


def name_of(day: datetime) -> str:
    """Return a day as the reporter writes it."""
    return day.date().isoformat()


def turn_page(calendar: Path) -> str:
    """Move the calendar past the next midnight; return the day that has ended."""
    now = now_on(calendar)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    # One second beyond: nobody is to look at the clock exactly then.
    offset = int(calendar.read_text()) + int((midnight - now).total_seconds()) + 1
    replace_content(calendar, f"+{offset}\n")
    return name_of(now)


def put_aside(day: str) -> bool:
    """Tell whether the collector has put the day aside."""
    try:
        with opened(ENDED_DAY) as database:
            return number(database, "SELECT COUNT(*) FROM daystatus WHERE daycomplete = :day", day=day) > 0
    except sqlite3.OperationalError:
        return False  # it is just being replaced


def all_reported(day: str) -> bool:
    """Tell whether the reporter has asked about the day, and has no report, of any day, to make or to send now."""
    now = now_on(CALENDAR).isoformat(" ")  # as the reporter writes it
    try:
        with opened(REPORTS) as database:
            asked = number(database, "SELECT COUNT(*) FROM fetchjobs WHERE day = :day AND status IS NOT NULL", day=day)
            return asked > 0 and not any(number(database, query, now=now) for query in STILL_TO_DO)
    except sqlite3.OperationalError:
        return False  # the reporter is just starting


def gave_up(day: str) -> bool:
    """Tell whether the reporter has given up asking the collector about a day."""
    with opened(REPORTS) as database:
        return number(database, "SELECT COUNT(*) FROM fetchjobs WHERE day = :day AND status = 'timedout'", day=day) > 0


def deliveries(day: str) -> tuple[int, int]:
    """Return how many reports about a day have left, and how many have not."""
    of_the_day = "FROM destinations JOIN reports ON r_id = d_r_id WHERE day = :day AND status"
    with opened(REPORTS) as database:
        return (
            number(database, f"SELECT COUNT(*) {of_the_day} IS 'sent'", day=day),
            number(database, f"SELECT COUNT(*) {of_the_day} IS NOT 'sent'", day=day),
        )


def mails(day: str) -> int:
    """Return how many reports about a day the reporter has handed to Postfix."""
    of_the_day = "FROM destinations JOIN reports ON r_id = d_r_id WHERE day = :day AND status = 'sent'"
    with opened(REPORTS) as database:
        return number(database, f"SELECT COUNT(*) {of_the_day} AND destination LIKE 'mailto:%'", day=day)


def held_report_mail() -> list[str]:
    """Return the queue ids of the report mail that Postfix holds, because its destination did not take it."""
    reporter = os.environ["TLSRPT_REPORTD_SENDER_ADDRESS"]
    listing = subprocess.run(
        ["postqueue", "-j"], check=True, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    messages = [json.loads(line) for line in listing.stdout.splitlines()]
    return [message["queue_id"] for message in messages if message["sender"] == reporter]


def try_again(held: Iterable[str]) -> None:
    """Have Postfix try some messages now: with the page, more time has passed than it waits between two attempts."""
    for queue_id in held:
        subprocess.run(["postqueue", "-i", queue_id], check=True)


def all_tried(held: Iterable[str], handed_in: int, log_offset: int) -> bool:
    """Tell whether Postfix has tried what it held, and as many messages as the reporter has handed in.

    Its log says so, behind an offset. A look at the queue misses what moves from one part to the next meanwhile: seen
    was a report that left when this program had ended.
    """
    with MAIL_LOG.open("rb") as log:
        log.seek(log_offset)
        said = log.read().decode(errors="replace")
    picked_up = PICKED_UP.findall(said)
    return len(picked_up) >= handed_in and all(f" {queue_id}: to=<" in said for queue_id in (*held, *picked_up))


def main() -> None:
    """Go through the steps."""
    timeouts = Timeouts(ALL_STEPS_SECONDS)
    tell_collector(timeouts, "counted")
    timeouts.wait("caught-up", lambda: all_reported(name_of(now_on(CALENDAR) - timedelta(days=1))))
    held, log_offset = held_report_mail(), MAIL_LOG.stat().st_size
    day = turn_page(CALENDAR)
    try_again(held)
    tell_collector(timeouts, "day-ended")
    timeouts.wait("day-ended", lambda: put_aside(day))
    timeouts.wait("reported", lambda: all_reported(day))
    if gave_up(day):
        raise SystemExit(f"reported: the reporter has given up asking the collector about {day}")
    handed_in = mails(day)
    timeouts.wait("handed-on", lambda: all_tried(held, handed_in, log_offset))
    left, failed = deliveries(day)
    print(json.dumps({"sent": left, "not_sent": failed, "day": day}))


if __name__ == "__main__":
    main()
