"""OpenSMTPD's `queue` hook, against listings as `smtpctl show queue` of OpenSMTPD 7.6 prints them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mta_sts_lab.shipped_files import shipped_files

HOOK = shipped_files() / "docker" / "opensmtpd" / "hooks" / "queue"

#: Everything up to the number of attempts, as it was seen in a run.
HEAD = (
    "{id}|inet4|{agent}||a@sender.example|b@there.example|b@there.example|1795469174|1795814774|1795469175|{attempts}"
)


def listed(place: Path, *lines: str) -> list[dict[str, str]]:
    """Return what the hook makes of a listing."""
    (place / "listing").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    program = place / "smtpctl"
    program.write_text(f"#!/bin/sh\n[ \"$*\" = 'show queue' ] && cat '{place}/listing'\n", encoding="utf-8")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
    told = subprocess.run([sys.executable, HOOK], check=True, capture_output=True, env=environment)
    messages: list[dict[str, str]] = json.loads(told.stdout)["messages"]
    return messages


def envelope(state: str, *, attempts: int = 1, agent: str = "mta") -> str:
    return f"{HEAD.format(id='62b95a613bdb593c', agent=agent, attempts=attempts)}|{state}"


def test_an_empty_queue(tmp_path: Path) -> None:
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "state", "reason"),
    [
        (envelope("pending|399|Network error | of a kind"), "deferred", "Network error | of a kind"),
        (envelope("inflight|3|Network error on destination MXs"), "active", "Network error on destination MXs"),
        (envelope("inflight|0|", attempts=0), "active", ""),
        (envelope("pending|0|", attempts=0), "active", ""),
    ],
)
def test_held_is_what_was_tried_and_waits(tmp_path: Path, line: str, state: str, reason: str) -> None:
    assert listed(tmp_path, line) == [
        {
            "id": "62b95a613bdb593c",
            "sender": "a@sender.example",
            "recipient": "b@there.example",
            "state": state,
            "reason": reason,
        }
    ]


def test_a_notification_is_no_longer_the_message_it_is_about(tmp_path: Path) -> None:
    (row,) = listed(tmp_path, envelope("pending|0|Too bad", agent="bounce"))
    assert (row["sender"], row["recipient"], row["state"]) == ("", "a@sender.example", "active")
