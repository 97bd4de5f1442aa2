"""The queue hook of the Courier image: `mailq -batch` and the log as Courier 1.4 wrote them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[2] / "docker" / "courier" / "hooks" / "queue"
ID = "00000000002E2015.000000006B04B762.00000077"
LISTING = f"220             ;{ID};Nov 23 22:00;courier;probe+2@sender.example;;b2@there2.example;\nmessages: 1\n"
STAMP = "2026-11-23T22:00:02.242333+00:00 mta"
ARRIVED = f"{STAMP} courierd: newmsg,id={ID}: dns; lab.example (softdnserr [::ffff:127.0.0.1])\n"
STARTED = f"{STAMP} courierd: started,id={ID},from=<probe+2@sender.example>,module=esmtp,host=there2.example\n"
SAID = f"{STAMP} courieresmtp: id={ID},from=<probe+2@sender.example>,addr=<b2@there2.example>: 451 later: really\n"
STATUS = f"{STAMP} courieresmtp: id={ID},from=<probe+2@sender.example>,addr=<b2@there2.example>,status: deferred\n"
COMPLETED = f"{STAMP} courierd: completed,id={ID}\n"


def rows(place: Path, listing: str, log: str) -> list[dict[str, str]]:
    """Run the hook on a log of its own, with a `mailq` that prints a listing."""
    (place / "mail.log").write_text(log)
    (place / "listing").write_text(listing)
    mailq = place / "mailq"
    mailq.write_text(f"#!/bin/sh\ncat {place}/listing\n")
    mailq.chmod(0o755)
    hook = HOOK.read_text().replace("/var/log/mail.log", str(place / "mail.log"))
    done = subprocess.run(
        [sys.executable, "-c", hook],
        env={"PATH": f"{place}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout)["messages"])


@pytest.mark.parametrize(
    ("log", "state"),
    [
        (ARRIVED, "active"),
        (ARRIVED + STARTED, "active"),
        (ARRIVED + STARTED + SAID + STATUS, "active"),
        (ARRIVED + STARTED + SAID + STATUS + COMPLETED, "deferred"),
        (ARRIVED + STARTED + SAID + STATUS + COMPLETED + STARTED, "active"),
    ],
)
def test_a_message_waits_when_its_last_attempt_is_completed(tmp_path: Path, log: str, state: str) -> None:
    (row,) = rows(tmp_path, LISTING, log)
    assert row["state"] == state
    assert (row["id"], row["sender"], row["recipient"]) == (ID, "probe+2@sender.example", "b2@there2.example")
    assert row["reason"] == ("451 later: really" if SAID in log else "")


def test_what_is_not_listed_is_not_held(tmp_path: Path) -> None:
    assert rows(tmp_path, "messages: 0\n", ARRIVED + STARTED + SAID + STATUS + COMPLETED) == []
