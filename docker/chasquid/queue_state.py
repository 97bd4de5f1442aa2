#!/usr/bin/env python3
"""What chasquid holds, and what it does with it at this moment.

Its queue is a folder with a file a message, in protobuf's text format, written anew after every attempt. The file does
not say whether an attempt is under way: that is in the mail log, where each attempt at a message ends with a line

    2026-11-23 21:27:46.988649 nH1sWjz7LV0 from=a@sender.example completed loop, next in 1m4s

A message waits from that line on for as long as it says. At any other time it is being tried: when it has just come,
when the pause is over, and when chasquid has started anew, which tries everything at once.
"""

from __future__ import annotations

import ast
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QUEUE = Path("/var/lib/chasquid/queue")
MAIL_LOG = Path("/var/log/chasquid/mail.log")

FILE_PREFIX = "m:"
#: Written by chasquid-service before each start.
START_MARK = " chasquid starts\n"

_TIME = r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6})"
_PAUSE = r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?P<s>[\d.]+)s"
_WAITS = re.compile(rf"^{_TIME} (?P<id>\S+) from=.* completed loop, next in {_PAUSE}$")
_VALUE = r'(?P<open>\{)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[^\s{}]+)'
_TOKEN = re.compile(rf"\s*(?:(?P<close>\}})|(?P<key>\w+)\s*:?\s*(?:{_VALUE}))")


@dataclass(frozen=True)
class Recipient:
    """One recipient that a message is still held for. `waiting` is whether nothing is done about it now."""

    message: str
    sender: str
    address: str
    reason: str
    waiting: bool


def held(now: datetime.datetime | None = None) -> list[Recipient]:
    """Return everything that chasquid holds, as the files and the log have it now.

    The files are read before the log: a message whose attempt ends in between is shown as waiting, as it is then.
    """
    messages = dict(_messages())
    waiting = _waiting(now or datetime.datetime.now())
    return [
        Recipient(name, message["from"], entry["address"], entry.get("last_failure_message", ""), name in waiting)
        for name, message in messages.items()
        for entry in message["rcpt"]
        if entry.get("status", "PENDING") == "PENDING"
    ]


def at_rest() -> bool:
    """Tell whether every message is waiting; one that was given up or delivered a moment ago is still in the works."""
    names = [path.name.removeprefix(FILE_PREFIX) for path in QUEUE.glob(f"{FILE_PREFIX}*")]
    return set(names) <= _waiting(datetime.datetime.now())


def _waiting(now: datetime.datetime) -> set[str]:
    """Return the messages in whose pause we are."""
    until: dict[str, datetime.datetime] = {}
    for line in MAIL_LOG.read_text(errors="replace").rpartition(START_MARK)[2].splitlines():
        found = _WAITS.match(line)
        if found:
            pause = datetime.timedelta(
                hours=int(found["h"] or 0), minutes=int(found["m"] or 0), seconds=float(found["s"])
            )
            until[found["id"]] = datetime.datetime.fromisoformat(found["at"]) + pause
    return {name for name, end in until.items() if now < end}


def _messages() -> Iterator[tuple[str, dict]]:
    """Yield the messages in the queue's folder by name, without those that go while we look."""
    for path in QUEUE.glob(f"{FILE_PREFIX}*"):
        name = path.name.removeprefix(FILE_PREFIX)
        try:
            message = parsed(path.read_text(errors="replace"))
        except FileNotFoundError:
            continue
        if message.get("ID") == name:  # otherwise it is a file that is being written, under a name of its own
            yield name, message


def parsed(text: str) -> dict:
    """Read protobuf's text format as far as a queue file needs it: texts, words, and nested messages in `rcpt`."""
    top: dict = {"from": "", "rcpt": []}
    inside: list[dict] = [top]
    for token in _TOKEN.finditer(text):
        if token["close"]:
            inside.pop()
        elif token["open"]:
            inside.append({})
            if token["key"] == "rcpt":
                top["rcpt"].append(inside[-1])
        elif token["key"] != "data":
            inside[-1][token["key"]] = _text(token["text"]) if token["text"] else token["word"]
    return top


def _text(quoted: str) -> str:
    """Undo the escapes, which are Python's as well: octal and hexadecimal for octets of UTF-8, and the usual ones."""
    octets = ast.literal_eval("b" + quoted) if quoted.isascii() else quoted.strip('"').encode()
    return octets.decode("utf-8", "replace")
