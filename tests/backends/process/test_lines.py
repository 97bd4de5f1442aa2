"""On a terminal a case has its line as soon as it is decided."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.process.sandbox import toy_sender

pty = pytest.importorskip("pty")

pytestmark = pytest.mark.namespaces


def test_a_line_comes_while_other_cases_are_played(namespaces: None, tmp_path: Path) -> None:
    # The second case takes eight seconds: the toy sender never fetches the policy that is waited for.
    selection = ("starttls/mask[absent]", "starttls/strip[enforce]")
    command = ("run", *selection, "--command", shlex.join(toy_sender()), "--smtp", "2525")
    screen, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mta_sts_lab", *command],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        try:
            seen = read_until(screen, b"starttls/mask[absent]", b"")
            judged_then = list(tmp_path.glob("runs/*/verdicts.json"))
            seen = read_until(screen, b"record and verdicts:", seen)
        finally:
            process.kill()
            os.close(screen)
    assert judged_then == []
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen).decode()
    lines = re.findall(r"(pass|fail) +(starttls/\S+\[\w+\])", plain.partition("Under enforce")[0])
    assert lines == [("pass", selection[0]), ("fail", selection[1])]
    assert "decided otherwise" not in plain


def read_until(screen: int, mark: bytes, seen: bytes) -> bytes:
    while mark not in seen:
        try:
            more = os.read(screen, 65536)
        except OSError:
            more = b""
        assert more, seen[-2000:]
        seen += more
    return seen
