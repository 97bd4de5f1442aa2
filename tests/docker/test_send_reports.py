"""The `reports` hook of the Postfix image: what it takes for counted, put aside, reported and handed on."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.docker.programs import load_program

send_reports = load_program("postfix/send_reports.py")

REPORTER = "tlsrpt@sender.example"
DAY, DAY_BEFORE = "2026-11-23", "2026-11-22"


def execute(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reporter's database, with the columns that are looked at, and with the day before behind it."""
    database = tmp_path / "reportd.sqlite"
    execute(
        database,
        "CREATE TABLE fetchjobs(day, status)",
        "CREATE TABLE reportdata(day, domain)",
        "CREATE TABLE reports(r_id INTEGER PRIMARY KEY ASC, day, domain)",
        "CREATE TABLE destinations(d_r_id, status, retries, nexttry)",
        f"INSERT INTO fetchjobs VALUES ('{DAY_BEFORE}', 'ok')",
    )
    monkeypatch.setattr(send_reports, "REPORTS", database)
    calendar = tmp_path / "calendar"
    calendar.write_text("+0\n")
    monkeypatch.setattr(send_reports, "CALENDAR", calendar)
    return database


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    path = tmp_path / "collector.sock"
    monkeypatch.setattr(send_reports, "COLLECTOR_SOCKET", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        yield receiver


def test_a_datagram_is_taken_only_once_the_collector_has_read_it(collector: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        assert send_reports.sent(sender)
        assert not send_reports.all_taken(sender)
        content = collector.recv(1000)
        assert send_reports.all_taken(sender)
    assert json.loads(content) == {"dpv": "1", "policies": []}


def test_a_collector_that_takes_nothing_is_an_error_that_names_the_step(collector: socket.socket) -> None:
    with pytest.raises(SystemExit, match=r"^counted: not done within 0 seconds"):
        send_reports.tell_collector(send_reports.Patience(0), "counted")


def test_a_collector_that_is_not_there_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_reports, "COLLECTOR_SOCKET", str(tmp_path / "nobody.sock"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        assert not send_reports.sent(sender)


@pytest.mark.parametrize("offset", [0, 86400, 40 * 86400])
def test_the_page_is_turned_to_just_after_midnight(tmp_path: Path, offset: int) -> None:
    calendar = tmp_path / "calendar"
    calendar.write_text(f"+{offset}\n")
    ended = send_reports.turn_page(calendar)
    assert re.fullmatch(r"\+\d+\n", calendar.read_text())
    now = send_reports.now_on(calendar)
    assert send_reports.name_of(now - send_reports.timedelta(days=1)) == ended
    assert (now.hour, now.minute) == (0, 0)


def test_a_day_is_put_aside_when_the_collector_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = tmp_path / "collectd.sqlite.yesterday"
    monkeypatch.setattr(send_reports, "ENDED_DAY", aside)
    assert not send_reports.put_aside(DAY)
    assert not aside.exists(), "looking must not make the collector's file"
    execute(aside, "CREATE TABLE daystatus(daycomplete)", f"INSERT INTO daystatus VALUES ('{DAY_BEFORE}')")
    assert not send_reports.put_aside(DAY)
    execute(aside, f"INSERT INTO daystatus VALUES ('{DAY}')")
    assert send_reports.put_aside(DAY)


def test_a_day_that_the_reporter_has_not_asked_about_is_not_reported(reports: Path) -> None:
    assert not send_reports.all_reported(DAY)
    execute(reports, f"INSERT INTO fetchjobs VALUES ('{DAY}', NULL)")
    assert not send_reports.all_reported(DAY)
    execute(reports, "UPDATE fetchjobs SET status = 'ok'")
    assert send_reports.all_reported(DAY)


def test_a_domain_without_its_report_is_waited_for(reports: Path) -> None:
    execute(
        reports,
        f"INSERT INTO fetchjobs VALUES ('{DAY}', 'ok')",
        f"INSERT INTO reportdata VALUES ('{DAY}', 'one.example'), ('{DAY}', 'two.example')",
        f"INSERT INTO reports VALUES (1, '{DAY}', 'one.example'), (2, '{DAY_BEFORE}', 'two.example')",
    )
    assert not send_reports.all_reported(DAY)
    execute(reports, f"INSERT INTO reports VALUES (3, '{DAY}', 'two.example')")
    assert send_reports.all_reported(DAY)


@pytest.mark.parametrize("day", [DAY, DAY_BEFORE])
def test_a_report_that_is_still_to_be_sent_is_waited_for_whatever_its_day(reports: Path, day: str) -> None:
    execute(
        reports,
        f"INSERT INTO fetchjobs VALUES ('{DAY}', 'ok')",
        f"INSERT INTO reports VALUES (1, '{day}', 'one.example')",
        "INSERT INTO destinations VALUES (1, NULL, 0, '9999-12-31 00:00:00+00:00')",
    )
    assert not send_reports.all_reported(DAY)
    execute(reports, "UPDATE destinations SET status = 'sent'")
    assert send_reports.all_reported(DAY)


def test_a_report_that_was_refused_is_waited_for_when_it_is_due_again(reports: Path) -> None:
    in_ten_minutes = datetime.now(UTC) + timedelta(minutes=10)
    execute(
        reports,
        f"INSERT INTO fetchjobs VALUES ('{DAY}', 'ok')",
        f"INSERT INTO reports VALUES (1, '{DAY}', 'one.example')",
        f"INSERT INTO destinations VALUES (1, NULL, 1, '{in_ten_minutes}')",
    )
    assert send_reports.all_reported(DAY)
    send_reports.turn_page(send_reports.CALENDAR)
    send_reports.turn_page(send_reports.CALENDAR)
    assert not send_reports.all_reported(DAY)


def test_reports_that_left_are_told_from_those_that_did_not(reports: Path) -> None:
    execute(
        reports,
        f"INSERT INTO reports VALUES (1, '{DAY}', 'one.example'), (2, '{DAY}', 'two.example'), (3, '{DAY_BEFORE}', 'x')",
        "INSERT INTO destinations(d_r_id, status) VALUES (1, 'sent'), (1, NULL), (1, 'sent'), (2, 'timedout'), (3, 'sent')",
    )
    assert send_reports.deliveries(DAY) == (2, 2)


def test_a_reporter_that_gave_up_is_told_from_one_that_is_through(reports: Path) -> None:
    execute(reports, f"INSERT INTO fetchjobs VALUES ('{DAY}', 'timedout')")
    assert send_reports.all_reported(DAY)
    assert send_reports.gave_up(DAY)
    assert not send_reports.gave_up(DAY_BEFORE)


@dataclass
class Postfix:
    """What Postfix says of its queue, and where it writes its log."""

    log: Path
    messages: list[dict[str, str]] = field(default_factory=list)

    def run(self, command: list[str], **_: object) -> SimpleNamespace:
        assert command == ["postqueue", "-j"]
        return SimpleNamespace(stdout="".join(json.dumps(message) + "\n" for message in self.messages))

    def has(self, sender: str, queue: str) -> None:
        self.messages.append({"queue_id": f"ID{len(self.messages)}", "sender": sender, "queue_name": queue})


@pytest.fixture
def postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Postfix:
    found = Postfix(tmp_path / "mail.log")
    found.log.write_text("before ID0: to=<a@one.example>, status=deferred\n")
    monkeypatch.setattr(send_reports.subprocess, "run", found.run)
    monkeypatch.setattr(send_reports, "MAIL_LOG", found.log)
    monkeypatch.setenv("TLSRPT_REPORTD_SENDER_ADDRESS", REPORTER)
    return found


@pytest.mark.parametrize(
    ("sender", "queue", "done"),
    [
        (REPORTER, "active", False),
        (REPORTER, "maildrop", False),
        (REPORTER, "deferred", True),
        ("somebody@sender.example", "active", True),
    ],
)
def test_only_report_mail_on_its_way_is_waited_for(postfix: Postfix, sender: str, queue: str, done: bool) -> None:
    postfix.has(sender, queue)
    assert send_reports.all_tried([], 0) is done


def test_what_was_held_from_earlier_days_has_to_be_tried_again(postfix: Postfix) -> None:
    postfix.has(REPORTER, "deferred")
    offset = postfix.log.stat().st_size
    assert not send_reports.all_tried(["ID0"], offset), "its attempt of yesterday does not count"
    with postfix.log.open("a") as log:
        log.write("now ID0: to=<a@one.example>, status=deferred\n")
    assert send_reports.all_tried(["ID0"], offset)
    assert not send_reports.all_tried(["ID0"], postfix.log.stat().st_size)
    postfix.messages.clear()
    assert send_reports.all_tried(["ID0"], postfix.log.stat().st_size), "it has left"
