"""What the chasquid image says of chasquid's queue: files as chasquid 1.15 wrote them, and its mail log."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.docker.programs import load_program

QUEUED = """ID:  "EYtVQ7cDyzs"
from:  "probe+1@sender.example"
To:  "b1@there1.example"
rcpt:  {
  address:  "b1@there1.example"
  last_failure_message:  "all MXs said \\"no\\" (caf\\303\\251 \\\\ {x})"
  original_address:  "b1@there1.example"
}
rcpt: {
  address: "b2@there1.example"
  status: SENT
}
data:  "Received: from [198.19.250.2]\\n\\tby mta }\\nrcpt: {\\n address: \\"x@y\\" \\x01\\n"
created_at_ts:  {
  seconds:  1795469266
  nanos:  996069092
}
"""

LOG = """2026-11-23 21:00:00.000000 chasquid starts
2026-11-23 21:00:10.000000 EYtVQ7cDyzs from=probe+1@sender.example completed loop, next in 5m1s
2026-11-23 21:27:25.375616 chasquid starts
2026-11-23 21:27:25.383681 daemon listening on :25
"""
WAITS = "2026-11-23 21:27:46.000000 EYtVQ7cDyzs from=probe+1@sender.example completed loop, next in 1m21s\n"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load_program("chasquid/queue_state.py")
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "m:EYtVQ7cDyzs").write_text(QUEUED)
    (tmp_path / "mail.log").write_text(LOG)
    monkeypatch.setattr(loaded, "QUEUE", tmp_path / "queue")
    monkeypatch.setattr(loaded, "MAIL_LOG", tmp_path / "mail.log")
    return loaded


def at(time: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"2026-11-23 {time}")


def test_only_recipients_that_still_wait_for_a_delivery_are_held(state: ModuleType) -> None:
    (one,) = state.held(at("21:28:00"))
    assert (one.message, one.sender, one.address) == ("EYtVQ7cDyzs", "probe+1@sender.example", "b1@there1.example")
    assert one.reason == 'all MXs said "no" (café \\ {x})'


def test_a_message_waits_from_the_end_of_an_attempt_until_its_pause_is_over(state: ModuleType) -> None:
    assert [one.waiting for one in state.held(at("21:27:30"))] == [False], "what an earlier life said does not count"
    state.MAIL_LOG.write_text(LOG + WAITS)
    for time, waiting in (("21:27:47", True), ("21:29:06", True), ("21:29:07", False)):
        assert [one.waiting for one in state.held(at(time))] == [waiting], time
    state.MAIL_LOG.write_text(LOG + WAITS.replace("1m21s", "1h0m2.5s"))
    assert [one.waiting for one in state.held(at("22:27:48"))] == [True]


def test_a_new_start_tries_everything(state: ModuleType) -> None:
    state.MAIL_LOG.write_text(LOG + WAITS + "2026-11-23 21:27:50.000000 chasquid starts\n")
    assert [one.waiting for one in state.held(at("21:27:51"))] == [False]


def test_at_rest_is_when_every_file_waits(state: ModuleType) -> None:
    now = datetime.datetime.now()
    waits = f"{now:%F %T.%f} %s from=x completed loop, next in 1m21s\n"
    assert not state.at_rest()
    state.MAIL_LOG.write_text(LOG + waits % "EYtVQ7cDyzs")
    assert state.at_rest()
    (state.QUEUE / "m:another").write_text("")
    assert not state.at_rest(), "also one that is only being written, delivered or given up"
    state.MAIL_LOG.write_text(LOG + waits % "EYtVQ7cDyzs" + waits % "another")
    assert state.at_rest()


def test_a_file_that_is_being_written_is_no_message(state: ModuleType) -> None:
    (state.QUEUE / "m:EYtVQ7cDyzs123456").write_text(QUEUED)
    (state.QUEUE / "m:half").write_text(QUEUED[:120])
    assert [one.message for one in state.held(at("21:28:00"))] == ["EYtVQ7cDyzs"]


def test_the_rows_are_json(state: ModuleType) -> None:
    assert json.loads(json.dumps([one.reason for one in state.held(at("21:28:00"))]))
