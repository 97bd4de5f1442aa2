"""Tests of one group (`xdist_group`) run in one process, so that what they share is played once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os
from pathlib import Path

import pytest

@pytest.mark.xdist_group("one")
class TestOne:
    @pytest.mark.parametrize("turn", range(6))
    def test_it(self, turn):
        (Path("one") / str(os.getpid())).touch()

@pytest.mark.parametrize("turn", range(6))
def test_apart(turn):
    (Path("apart") / str(os.getpid())).touch()
"""


def test_a_group_is_played_by_one_process(tmp_path: Path) -> None:
    """pytest-xdist 3.8 writes a private name of pytest's for this, which pytest 9.2 no longer has."""
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    for folder in ("one", "apart"):
        (tmp_path / folder).mkdir()
    options = ["-n", "3", "--dist", "loadgroup", "-p", "no:cacheprovider", "-p", "no:mta_sts_lab.pytest_plugin"]
    # This test runs in a worker of xdist itself: what tells a worker so is not for the processes of its own run.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_it.py"],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "one").iterdir())) == 1
    assert len(list((tmp_path / "apart").iterdir())) > 1, "without a group they are shared out"
