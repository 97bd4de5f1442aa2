"""The start of tlsrpt-reportd in the Postfix image: only what it would choke on is put aside."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.docker.programs import load_program

start_reportd = load_program("postfix/start_reportd.py")

TWICE = "v=TLSRPTv1; rua=https://one.example/v1,https://one.example/v1"


@pytest.mark.parametrize(
    ("record", "fatal"),
    [
        (TWICE, True),
        ("v=TLSRPTv1;rua=mailto:a@one.example,https://one.example/,mailto:a@one.example; x=y", True),
        ("v=TLSRPTv1; rua=https://one.example/v1", False),
        ("v=TLSRPTv1; rua=https://one.example/v1,https://one.example/v2", False),
        # It compares octets, and reads no field but the second.
        ("v=TLSRPTv1; rua=https://one.example/v1, https://one.example/v1", False),
        ("v=TLSRPTv1; x=a,a; rua=https://one.example/v1,https://one.example/v1", False),
        ("v=TLSRPTv1", False),
    ],
)
def test_a_record_that_names_one_address_twice(record: str, fatal: bool) -> None:
    other = "v=TLSRPTv1; rua=mailto:a@one.example"
    assert start_reportd.names_one_address_twice(json.dumps({other: {}, record: {}})) is fatal


def test_only_such_a_domain_is_put_aside_and_only_until_it_is_reported(tmp_path: Path) -> None:
    database = tmp_path / "reportd.sqlite"
    rows = [
        ("2026-11-23", "fatal.example", json.dumps({TWICE: {}})),
        ("2026-11-23", "good.example", json.dumps({"v=TLSRPTv1; rua=https://good.example/": {}})),
        ("2026-11-23", "asked.example", None),
        ("2026-11-22", "fatal.example", json.dumps({TWICE: {}})),
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE reportdata(day, domain, data)")
        connection.execute("CREATE TABLE reports(day, domain)")
        connection.executemany("INSERT INTO reportdata VALUES (?, ?, ?)", rows)
        connection.execute("INSERT INTO reports VALUES ('2026-11-22', 'fatal.example')")
    assert start_reportd.clear_the_way(database) == ["fatal.example"]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT day, domain, data FROM reportdata").fetchall() == rows[1:]
    assert start_reportd.clear_the_way(database) == []
