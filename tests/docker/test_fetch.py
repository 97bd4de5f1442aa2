"""The quick start of tlsrpt-fetcher in the Postfix image: the same program, asked and answered over a socket."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_POSTFIX = Path(__file__).parents[2] / "docker" / "postfix"

#: In the place of tlsrpt-reporter's own: it says what it was given, and who it is.
_FETCHER = """
import os, sys

LOADED_BY = os.getpid()

def tlsrpt_fetcher_main():
    if "--fail" in sys.argv:
        raise ValueError("as it was asked to")
    print(LOADED_BY == os.getppid(), *sys.argv[1:])
    print("x" * 300_000)
    sys.exit(0)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server that is up, and what its client has to know."""
    package = tmp_path / "tlsrpt_reporter"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tlsrpt.py").write_text(_FETCHER)
    with tempfile.TemporaryDirectory() as short:  # a socket's path has a hundred octets at most
        known = {**os.environ, "PYTHONPATH": str(tmp_path), "FETCH_SOCKET": f"{short}/fetch.sock"}
        server = subprocess.Popen([sys.executable, _POSTFIX / "fetch_server.py"], env=known)
        give_up = time.monotonic() + 30
        while not Path(known["FETCH_SOCKET"]).exists():
            assert server.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        try:
            yield known
        finally:
            server.kill()
            server.wait()


def _fetch(environment: dict[str, str], *arguments: str) -> bytes:
    command = [sys.executable, "-IS", _POSTFIX / "fetch.py", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


def test_the_fetcher_is_run_in_a_process_of_its_own_with_the_arguments_of_the_request(
    environment: dict[str, str],
) -> None:
    for domain in ("one.example", "two.example"):
        first, second = _fetch(environment, "--config_file", "a file", "2026-11-29", domain).decode().splitlines()
        assert first == f"True --config_file a file 2026-11-29 {domain}"
        assert len(second) == 300_000


def test_a_fetcher_that_fails_answers_nothing_and_the_next_one_is_answered(environment: dict[str, str]) -> None:
    assert _fetch(environment, "--fail") == b""
    assert _fetch(environment, "2026-11-29").startswith(b"True 2026-11-29\n")


def test_without_a_server_the_fetcher_itself_is_started(tmp_path: Path) -> None:
    fetcher = tmp_path / "tlsrpt-fetcher"
    fetcher.write_text('#!/bin/sh\necho "itself: $*"\n')
    fetcher.chmod(0o755)
    program = (_POSTFIX / "fetch.py").read_text().replace("/opt/tlsrpt-reporter/bin/tlsrpt-fetcher", str(fetcher))
    moved = tmp_path / "fetch.py"
    moved.write_text(program)
    known = {**os.environ, "FETCH_SOCKET": str(tmp_path / "nobody")}
    said = subprocess.run([sys.executable, "-IS", moved, "a", "b"], env=known, check=True, stdout=subprocess.PIPE)
    assert said.stdout == b"itself: a b\n"
