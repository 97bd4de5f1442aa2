"""What the queue hook of Postfix says of a message, by what `postqueue -j` says of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[2] / "docker/postfix/hooks/queue"


def _said(folder: Path, *messages: dict[str, object]) -> list[dict[str, str]]:
    """Run the hook with a `postqueue` that lists these messages."""
    listing = folder / "listing"
    listing.write_text("".join(f"{json.dumps(message)}\n" for message in messages), encoding="utf-8")
    program = folder / "postqueue"
    program.write_text(f'#!/bin/sh\n[ "$1" = -j ] && cat "{listing}"\n', encoding="utf-8")
    program.chmod(0o755)
    done = subprocess.run(
        [str(HOOK)],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        check=True,
        timeout=30,
    )
    rows: list[dict[str, str]] = json.loads(done.stdout)["messages"]
    return rows


def _message(queue: str, *reasons: str) -> dict[str, object]:
    recipients = [
        {"address": f"{number}@b.example"} | ({"delay_reason": reason} if reason else {})
        for number, reason in enumerate(reasons)
    ]
    return {"queue_name": queue, "queue_id": "4F1", "sender": "a@sender.example", "recipients": recipients}


@pytest.mark.parametrize(
    ("queue", "reason", "state"),
    [
        ("incoming", "", "active"),
        ("active", "", "active"),
        ("active", "TLS is required", "active"),
        ("deferred", "TLS is required", "deferred"),
        ("hold", "", "deferred"),
        ("corrupt", "", "deferred"),
        ("incoming", "TLS is required", "deferred"),
    ],
)
def test_where_a_message_is(tmp_path: Path, queue: str, reason: str, state: str) -> None:
    (row,) = _said(tmp_path, _message(queue, reason))
    assert (row["state"], row["reason"]) == (state, reason)


def test_each_recipient_has_a_row(tmp_path: Path) -> None:
    rows = _said(tmp_path, _message("incoming", "", "host is down"), _message("active", ""))
    assert [(row["recipient"], row["state"]) for row in rows] == [
        ("0@b.example", "deferred"),
        ("1@b.example", "deferred"),
        ("0@b.example", "active"),
    ]
