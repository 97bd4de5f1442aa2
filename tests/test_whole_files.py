"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.whole_files import write_whole


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def cut_short(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_bytes", cut_short)
    with pytest.raises(OSError, match="disk is full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_whole(path, b"key", secret=True)
    write_whole(path, b"newer", secret=True)
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, b"newer")
