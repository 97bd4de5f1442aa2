"""The `reports` hook of the Postfix image: what it takes for counted, put aside, reported and handed on."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.docker.programs import load_program

send_reports = load_program("postfix/send_reports.py")

REPORTER = "tlsrpt@sender.example"
PICKUP, SMTP = (f"Nov 23 21:29:35 mta postfix/{program}[52]:" for program in ("pickup", "smtp"))
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
        "CREATE TABLE destinations(d_r_id, status, retries, nexttry, destination)",
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
        send_reports.tell_collector(send_reports.Timeouts(0), "counted")


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
        "INSERT INTO destinations(d_r_id, status, retries, nexttry) VALUES (1, NULL, 0, '9999-12-31 00:00:00+00:00')",
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
        f"INSERT INTO destinations(d_r_id, status, retries, nexttry) VALUES (1, NULL, 1, '{in_ten_minutes}')",
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


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Postfix's log, with what it said before the program began."""
    path = tmp_path / "mail.log"
    path.write_text(f"{PICKUP} ID0: uid=999 from=<tlsrpt>\n{SMTP} ID0: to=<a@one.example>, status=deferred\n")
    monkeypatch.setattr(send_reports, "MAIL_LOG", path)
    return path


def say(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(f"{line}\n")


def test_what_was_held_from_earlier_days_has_to_be_tried_again(log: Path) -> None:
    offset = log.stat().st_size
    assert not send_reports.all_tried(["ID0"], 0, offset), "its attempt of yesterday does not count"
    say(log, f"{SMTP} ID01: to=<a@one.example>, status=sent")
    assert not send_reports.all_tried(["ID0"], 0, offset), "that was another message"
    say(log, f"{SMTP} ID0: to=<a@one.example>, status=deferred")
    assert send_reports.all_tried(["ID0"], 0, offset)


def test_what_the_reporter_handed_in_has_to_be_picked_up_and_tried(log: Path) -> None:
    offset = log.stat().st_size
    assert send_reports.all_tried([], 0, offset)
    assert not send_reports.all_tried([], 1, offset), "it has not even been picked up"
    say(log, f"{PICKUP} ID1: uid=999 from=<tlsrpt>")
    say(log, f"{SMTP} ID9: to=<somebody@one.example>, status=sent")
    assert not send_reports.all_tried([], 1, offset)
    say(log, f"{SMTP} ID1: to=<a@one.example>, status=bounced")
    assert send_reports.all_tried([], 1, offset)
    assert not send_reports.all_tried([], 2, offset)


def test_only_mail_is_handed_to_postfix(reports: Path) -> None:
    execute(
        reports,
        f"INSERT INTO reports VALUES (1, '{DAY}', 'one.example'), (2, '{DAY_BEFORE}', 'one.example')",
        "INSERT INTO destinations VALUES (1, 'sent', 0, '', 'mailto:a@one.example'), (1, 'sent', 0, '', 'https://one.example/')",
        "INSERT INTO destinations VALUES (1, NULL, 1, '', 'mailto:b@one.example'), (2, 'sent', 0, '', 'mailto:a@one.example')",
    )
    assert send_reports.mails(DAY) == 1


def test_report_mail_that_is_held_is_told_from_other_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    senders = {"ID1": REPORTER, "ID2": "somebody@sender.example"}
    lines = [
        json.dumps({"queue_id": name, "sender": sender, "queue_name": "deferred"}) for name, sender in senders.items()
    ]
    monkeypatch.setattr(send_reports.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="\n".join(lines)))
    monkeypatch.setenv("TLSRPT_REPORTD_SENDER_ADDRESS", REPORTER)
    assert send_reports.held_report_mail() == ["ID1"]
