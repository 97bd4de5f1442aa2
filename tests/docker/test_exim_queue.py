"""What the queue hook of Exim says: every message, every recipient that waits, and whether it is being tried."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.programs import load_program

exim_queue = load_program("exim/exim_queue.py")

HELD, FROZEN, LEAVING = (f"1xVbS2-0000000000U-{end}" for end in ("2pqt", "2rSr", "08bA"))
# As Exim 4.96 and those before it name a message.
FRESH = "1xXYEl-00000Q-0N"

LISTING = f"""\
25m   359 {HELD} <a0@sender.example>
        D x0@foo.example
          x1@foo.example
          x2@foo.example

 0m  1.2K {FRESH} <a1@sender.example>
          y@foo.example

 3d   359 {FROZEN} <> *** frozen ***
          a2@sender.example

 0m       {LEAVING} <a3@sender.example>
          z@foo.example
"""

LOCKED = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    for part in ("input", "msglog"):
        (tmp_path / part).mkdir()
    for message in (HELD, FRESH, FROZEN):
        (tmp_path / "input" / f"{message}-D").write_text("the data")
        (tmp_path / "msglog" / message).write_text("2026-11-23 21:19:50 Received from somebody\n")
    with (tmp_path / "msglog" / HELD).open("a") as log:
        log.write("2026-11-23 21:19:50 x1@foo.example R=dnslookup defer (-1): host lookup did not complete\n")
        log.write("2026-11-23 21:19:51 H=mx.foo.example [198.18.0.9] Connection refused\n")
        log.write("2026-11-23 21:19:51 x1@foo.example R=dnslookup T=remote_smtp defer (111): Connection refused\n")
    return tmp_path


def test_a_row_for_each_recipient_that_waits(spool: Path) -> None:
    found = [(row["id"], row["sender"], row["recipient"]) for row in exim_queue.rows(LISTING, spool)]
    assert found == [
        (HELD, "a0@sender.example", "x1@foo.example"),
        (HELD, "a0@sender.example", "x2@foo.example"),
        (FRESH, "a1@sender.example", "y@foo.example"),
        (FROZEN, "", "a2@sender.example"),
        (LEAVING, "a3@sender.example", "z@foo.example"),
    ]


def test_deferred_is_what_was_put_off_and_is_not_being_tried(spool: Path) -> None:
    states = {row["id"]: (row["state"], row["reason"]) for row in exim_queue.rows(LISTING, spool)}
    assert states == {
        HELD: ("deferred", "x1@foo.example R=dnslookup T=remote_smtp defer (111): Connection refused"),
        FRESH: ("active", ""),
        FROZEN: ("deferred", "*** frozen ***"),
        LEAVING: ("active", ""),
    }


def test_a_locked_message_is_being_tried(spool: Path) -> None:
    command = [sys.executable, "-c", LOCKED, str(spool / "input" / f"{HELD}-D")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        assert exim_queue.being_tried(spool, HELD)
        assert next(exim_queue.rows(LISTING, spool))["state"] == "active"
        assert not exim_queue.being_tried(spool, FRESH)
        process.communicate(b"")
    assert not exim_queue.being_tried(spool, HELD)


def test_an_empty_queue(spool: Path) -> None:
    assert list(exim_queue.rows("", spool)) == []


def test_what_is_not_understood_is_no_empty_queue(spool: Path) -> None:
    with pytest.raises(SystemExit, match=r"not understood.*spool format error"):
        list(exim_queue.rows(f" 0m   359 {HELD} *** spool format error: size=359 ***\n", spool))
