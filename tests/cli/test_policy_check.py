"""`sts-lab policy-check` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import Shell
from tests.policy_check.given import GOOD, REPORTS, STS


@pytest.fixture
def good(shell: Shell) -> Path:
    path = shell.folder / "mta-sts.txt"
    path.write_bytes(GOOD)
    return path


def test_clean(shell: Shell, good: Path) -> None:
    answer = shell("policy-check", "mta-sts.txt", "--mx", "mail.example.com,a.mx.example.com", "--record", STS.decode())
    assert answer.status == 0
    assert "Mail to a.mx.example.com is delivered inside TLS" in " ".join(answer.out.split())
    assert "No problem" in answer.out


def test_problems_and_json(shell: Shell, good: Path) -> None:
    answer = shell("policy-check", "mta-sts.txt", "--mx", "backup.example.net", "--json")
    assert answer.status == 1
    told = json.loads(answer.out)
    assert (told["exit_code"], told["problems"], told["hosts"][0]["fate"]) == (1, 1, "waits")


def test_records_as_dig_prints_them(shell: Shell, good: Path) -> None:
    text = f'"{STS[:9].decode()}" "{STS[9:].decode()}"\n"{REPORTS.decode()}"\n'
    (shell.folder / "txt").write_text(text, encoding="utf-8")
    answer = shell("policy-check", "mta-sts.txt", "--record-file", "txt")
    assert answer.status == 0, answer.out
    assert "PROBLEM" not in answer.out


def test_files_that_cannot_be_used(shell: Shell, good: Path) -> None:
    assert "gone.txt: cannot be read" in shell("policy-check", "gone.txt").message(2)
    assert "cannot be read" in shell("policy-check", ".").message(2)
    refused = shell("policy-check", "mta-sts.txt", "--certificate", "mail.example.com=mta-sts.txt").message(2)
    assert "it is neither PEM (-----BEGIN CERTIFICATE-----) nor DER" in refused
    good.write_bytes(b"x" * (2 << 20))
    assert "larger than 1 MiB" in shell("policy-check", "mta-sts.txt").message(2)


@pytest.mark.parametrize("octets", [b"", b"\x00\xff" * 900, b"\xff\xfe" + GOOD.decode().encode("utf-16-le"), b'"\\'])
def test_hostile_files(shell: Shell, good: Path, octets: bytes) -> None:
    good.write_bytes(octets)
    answer = shell("policy-check", "mta-sts.txt", "--record-file", "mta-sts.txt", "--mx", "\udcff.example,x\x1b[1m")
    assert answer.status == 1
    assert "\x1b" not in answer.out
    assert "Traceback" not in answer.err
