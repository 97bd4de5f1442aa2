"""`run --shard` and `merge`, as they are typed."""

from __future__ import annotations

import json

import pytest

from tests.cli.program import Shell

CASES = ("starttls/strip", "mx/forged-mx")


def test_shards_are_played_and_merged(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert shell("run", *CASES).status == 0
    times = shell.runs()[0].name
    assert shell("run", *CASES, "--shard", "1/2", "--times", times).status == 0
    first = shell.runs()[1].name
    assert "shard 2/2 is missing" in shell("merge", first).message(2)
    assert shell("run", *CASES, "--shard", "env/2", "--times", times).status == 0
    merged = shell("merge", *(path.name for path in shell.runs()[1:]))
    assert merged.status == 0
    assert "8 cases: 8 pass. All as expected." in merged.out
    folder = shell.runs()[-1]
    assert f"record and verdicts: runs/{folder.name}/" in merged.out
    assert len(json.loads((folder / "verdicts.json").read_text())["cases"]) == 8
    assert (folder / "junit.xml").is_file()


def test_what_is_no_shard(shell: Shell) -> None:
    assert "there is no shard 6 of 5" in shell("run", "--shard", "6/5").message(2)
    assert "--shard env: the environment names no parallel job" in shell("run", "--shard", "env").message(2)
    assert "shard 2/2 has no case" in shell("run", "starttls/strip", "--shard", "2/2").message(5)
    assert "--times makes the shares of --shard equal" in shell("run", "--times", "yesterday").message(2)
    assert "yesterday: no record of a run there" in shell("run", "--shard", "1/2", "--times", "yesterday").message(2)
    assert "nowhere: no record of a run there" in shell("merge", "nowhere").message(2)
    assert shell.left() == []
