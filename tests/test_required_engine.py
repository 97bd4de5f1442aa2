"""Where a Docker engine is required, a test with Docker that is skipped fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import ROOT

TEST = """
import pytest

@pytest.mark.{mark}
def test_nothing():
    pytest.skip("no engine")
"""


@pytest.mark.parametrize(
    ("mark", "required", "status"),
    [("docker", "1", 1), ("docker", "", 0), ("thorough", "1", 0)],
    ids=["required", "not required", "without Docker"],
)
def test_a_skip_is_an_error_where_docker_is_required(tmp_path: Path, mark: str, required: str, status: int) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_makereport\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(TEST.format(mark=mark), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "markers=docker thorough", "test_it.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LAB_REQUIRE_DOCKER": required},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stdout
    assert ("and this test was skipped" in done.stdout) is bool(status)


def test_make_looks_for_tests_with_docker_where_they_are() -> None:
    """`make test-docker` collects a few files only: collecting all takes each of its processes five seconds."""
    (line,) = [one for one in (ROOT / "Makefile").read_text().splitlines() if one.startswith("DOCKER_TESTS = ")]
    looked_at = [ROOT / word.rstrip(")") for word in line.partition(",,")[2].split()]
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.docker" in path.read_text("utf-8")]
    files.remove(Path(__file__))
    assert len(files) > 10
    assert [path for path in files if not any(path.is_relative_to(place) for place in looked_at)] == []
