"""A run in several processes, each with the program in namespaces of its own."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.backends.process.sandbox import TOY_SENDER
from tests.cli.program import LONGEST, Shell, end, start, until

pytestmark = pytest.mark.namespaces


@pytest.fixture
def toy(shell: Shell, namespaces: None) -> list[str]:
    """A run of two parts against a copy of the toy sender, whose processes are found by its path."""
    copy = shutil.copy(TOY_SENDER / "toy_sender.py", shell.folder)
    command = shlex.join([sys.executable, str(copy)])
    return ["run", "starttls/strip", "mx/forged-mx", "--jobs", "2", "--command", command, "--smtp", "2525"]


def running(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder / "toy_sender.py") in line:
            found.append(line)
    return found


def test_each_has_an_instance_and_one_run_comes_of_it(shell: Shell, toy: list[str]) -> None:
    answer = shell(*toy, "--json")
    assert answer.status == 1, answer.err
    verdicts = {case["id"]: case["verdict"] for case in json.loads(answer.out)["cases"]}
    assert len(verdicts) == 8
    assert verdicts["starttls/strip[enforce]"] == verdicts["mx/forged-mx[enforce]"] == "fail"
    assert verdicts["starttls/strip[absent]"] == verdicts["mx/forged-mx[absent]"] == "pass"
    (folder,) = shell.runs()
    assert (folder / "target" / "log.txt").read_text().count("--- ") == 2
    assert running(shell.folder) == []


def test_nothing_is_left_of_a_run_that_is_killed(shell: Shell, toy: list[str]) -> None:
    process = start(shell.folder, *toy)

    def both_are_attacked() -> bool:
        records = list(shell.folder.glob("runs/*/parts/*/record.jsonl"))
        return len(records) == 2 and all("AttackFired" in path.read_text() for path in records)

    until(process, both_are_attacked)
    assert running(shell.folder)
    process.kill()
    assert end(process).status == -signal.SIGKILL
    give_up = time.monotonic() + LONGEST
    while left := running(shell.folder):
        assert time.monotonic() < give_up, left
        time.sleep(0.05)
