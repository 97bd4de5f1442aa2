"""Haraka's `queue` hook, against a folder and a server that answer as Haraka 3.3 does."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import struct
import threading
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.shipped_files import shipped_files

TRIED = "1795470866253_1795470872114_4_27_ADtOG3_330_mta.sender.example"
NEW = "1795470868592_1795470868592_0_27_QdShXZ_336_mta.sender.example"


def _hook() -> Any:
    path = shipped_files() / "docker" / "haraka" / "hooks" / "queue"
    loader = SourceFileLoader("haraka_queue_hook", str(path))
    specification = importlib.util.spec_from_loader(loader.name, loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return module


HOOK = _hook()


@contextlib.contextmanager
def haraka(*answer: str) -> Iterator[int]:
    """Serve one connection as Haraka's plugin `status` does; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rwb") as stream:
                stream.write(b"220 mta.sender.example ESMTP Haraka ready\r\n")
                stream.flush()
                if stream.readline() == b"STATUS QUEUE INSPECT\r\n":
                    stream.write("".join(f"{line}\r\n" for line in answer).encode())
                    stream.flush()
                stream.readline()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def held(*names: str) -> str:
    waiting = [{"id": name, "fire_time": 1795470872114} for name in names]
    return f"211 {json.dumps({'delivery_queue': [], 'temp_fail_queue': waiting})}"


def put(folder: Path, name: str, sender: str = "<a@sender.example>") -> None:
    recipients = [{"original": "<b@there.example>"}, {"original": "<c@there.example>"}]
    envelope = json.dumps({"mail_from": {"original": sender}, "rcpt_to": recipients}).encode()
    (folder / name).write_bytes(struct.pack(">I", len(envelope)) + envelope + b"Subject: x\r\n\r\n\xff\r\n")


def test_held_is_what_waits_for_its_next_attempt(tmp_path: Path) -> None:
    put(tmp_path, TRIED)
    put(tmp_path, NEW, sender="<>")
    put(tmp_path, f"__tmp__.{NEW}")
    with haraka(held(TRIED, "gone meanwhile")) as port:
        rows = HOOK.messages(tmp_path, port)
    assert [(row["id"], row["sender"], row["recipient"], row["state"]) for row in rows] == [
        (TRIED, "a@sender.example", "b@there.example", "deferred"),
        (TRIED, "a@sender.example", "c@there.example", "deferred"),
        (NEW, "", "b@there.example", "active"),
        (NEW, "", "c@there.example", "active"),
    ]
    assert rows[0]["reason"].startswith("4 attempts")


def test_a_message_that_waits_no_more_is_on_its_way(tmp_path: Path) -> None:
    put(tmp_path, TRIED)
    with haraka(held()) as port:
        assert {row["state"] for row in HOOK.messages(tmp_path, port)} == {"active"}


def test_what_is_no_answer_is_none(tmp_path: Path) -> None:
    with haraka("500 Unrecognized command") as port, pytest.raises(SystemExit, match="500 Unrecognized"):
        HOOK.messages(tmp_path, port)
