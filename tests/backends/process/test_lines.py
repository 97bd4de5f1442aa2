"""On a terminal a case has its line as soon as it is decided."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.backends.process.sandbox import toy_sender
from tests.cli.terminal import on_a_terminal

pytestmark = pytest.mark.namespaces


def test_a_line_comes_while_other_cases_are_played(namespaces: None, tmp_path: Path) -> None:
    # The second case takes two seconds more: the toy sender never asks for the policy that is waited for.
    selection = ("starttls/mask[absent]", "starttls/strip[enforce]")
    command = ("run", *selection, "--command", shlex.join(toy_sender()), "--smtp", "2525")
    with on_a_terminal(tmp_path, *command) as (terminal, _):
        terminal.until(b"starttls/mask[absent]")
        judged_then = list(tmp_path.glob("runs/*/verdicts.json"))
        terminal.until(b"record and verdicts:")
    assert judged_then == []
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", terminal.seen).decode()
    lines = re.findall(r"(pass|fail) +(starttls/\S+\[\w+\])", plain.partition("Under enforce")[0])
    assert lines == [("pass", selection[0]), ("fail", selection[1])]
    assert "decided otherwise" not in plain
