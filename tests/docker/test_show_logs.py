"""What `GET /logs` answers: whole files, and word of what is left out of logs beyond the bound."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.docker.programs import load_program

DOCKER = Path(__file__).parents[2] / "docker"
show_logs = load_program("common/show_logs.py")


def shown(*paths: Path, **bound: int) -> bytes:
    out = io.BytesIO()
    show_logs.show([str(path) for path in paths], out, **bound)
    return out.getvalue()


def test_logs_are_shown_whole(tmp_path: Path) -> None:
    log, other = tmp_path / "mail.log", tmp_path / "other.log"
    log.write_bytes(b"\xff first line\n" + b"x" * (3 << 20))
    other.write_bytes(b"short\n")
    assert shown(log) == log.read_bytes()
    headings = (f"==> {path} <==\n".encode() for path in (log, other))
    assert (
        shown(log, tmp_path / "missing.log", other) == next(headings) + log.read_bytes() + next(headings) + b"short\n"
    )


def test_it_is_said_what_is_left_out(tmp_path: Path) -> None:
    log, other = tmp_path / "mail.log", tmp_path / "other.log"
    log.write_bytes(b"0123456789")
    other.write_bytes(b"abc")
    text = shown(log, other, largest=12).decode()
    assert f"--- the first 4 octets of {log} are left out" in text
    assert text.endswith(f"==> {other} <==\nabc")
    assert "\n456789" in text
    assert "3456789" not in text


@pytest.mark.parametrize("hook", sorted(DOCKER.glob("*/hooks/logs")), ids=lambda path: path.parts[-3])
def test_every_target_shows_its_logs_so(hook: Path) -> None:
    assert "/opt/mta-sts-lab/show_logs.py " in hook.read_text()
