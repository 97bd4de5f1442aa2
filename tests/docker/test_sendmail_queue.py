"""What the queue hook of sendmail says: every message, every recipient that waits, and whether it is being tried."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.docker.programs import load_program

sendmail_queue = load_program("sendmail/sendmail_queue.py")

CONTROL = """\
V8
T1795470568
K1795470575
N{attempts}
P390018
Mhost map: lookup (foo.example): deferred
Fs
$_localhost [127.0.0.1]
S<a@sender.example>
rRFC822; x0@foo.example
RPFD:<x0@foo.example>
MDeferred: 403 4.7.0 other side does not support STARTTLS
rRFC822; x1@foo.example
RPFD:<x1@foo.example>
H?P?Return-Path: <g>
H??Received: from somewhere
	for <x0@foo.example>
.
"""


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    (tmp_path / "qf1").write_text(CONTROL.format(attempts=5))
    (tmp_path / "df1").write_text("R is no recipient here")
    (tmp_path / "tf2").write_text(CONTROL.format(attempts=0))
    return tmp_path


def test_a_row_for_each_recipient_that_waits(queue: Path) -> None:
    assert list(sendmail_queue.held(queue)) == [
        {
            "id": "1",
            "sender": "a@sender.example",
            "recipient": "x0@foo.example",
            "state": "deferred",
            "reason": "host map: lookup (foo.example): deferred",
        },
        {
            "id": "1",
            "sender": "a@sender.example",
            "recipient": "x1@foo.example",
            "state": "deferred",
            "reason": "Deferred: 403 4.7.0 other side does not support STARTTLS",
        },
    ]


def states(queue: Path) -> set[str]:
    return {row["state"] for row in sendmail_queue.held(queue)}


def test_a_message_that_was_not_tried_yet_is_on_its_way(queue: Path) -> None:
    (queue / "qf1").write_text(CONTROL.format(attempts=0))
    assert states(queue) == {"active"}


def test_a_locked_message_is_being_tried(queue: Path) -> None:
    with (queue / "qf1").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert states(queue) == {"active"}
    assert states(queue) == {"deferred"}


@pytest.mark.parametrize("kind", ["Qf", "hf"])
def test_damaged_and_quarantined_messages_are_held_too(queue: Path, kind: str) -> None:
    (queue / "qf1").rename(queue / f"{kind}1")
    assert states(queue) == {"deferred"}


def test_a_message_that_left_meanwhile_is_no_row(queue: Path) -> None:
    assert list(sendmail_queue.rows(queue / "qf9", set())) == []
