"""The folders on disk: what is kept is there after a restart, and what cannot be read or written is reported."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from mta_sts_lab.reference.store import JsonFolder


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int


def folder(directory: Path) -> tuple[JsonFolder[Entry], list[str]]:
    log: list[str] = []
    return JsonFolder(directory, Entry, "entries", log.append), log


def test_what_is_kept_is_read_again_until_it_is_removed(tmp_path: Path) -> None:
    kept, log = folder(tmp_path / "new")
    kept.keep("b", Entry(2))
    kept.write("a", Entry(1))
    assert folder(tmp_path / "new")[0].load() == [Entry(1), Entry(2)]
    kept.keep("a", Entry(3))
    kept.remove("b")
    kept.remove("b")
    assert kept.load() == [Entry(3)]
    assert log == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"number": "1"}', b'{"number": 1, "more": 2}'])
def test_what_cannot_be_read_is_left_out_and_reported(tmp_path: Path, content: bytes) -> None:
    kept, log = folder(tmp_path)
    kept.keep("good", Entry(1))
    (tmp_path / "bad.json").write_bytes(content)
    assert kept.load() == [Entry(1)]
    assert [line.partition(" cannot be read")[0] for line in log] == ["entries: bad.json"]


def test_what_cannot_be_written_is_reported_or_raised(tmp_path: Path) -> None:
    kept, log = folder(tmp_path)
    (tmp_path / "a.json").mkdir()
    kept.keep("a", Entry(1))
    assert [line.partition(" could not be written")[0] for line in log] == ["entries: a"]
    with pytest.raises(OSError, match=r"a\.json"):
        kept.write("a", Entry(1))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"], "no draft is left behind"
