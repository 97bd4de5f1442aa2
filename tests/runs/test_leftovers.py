"""What a killed run leaves on disk, and what becomes of it."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
from pathlib import Path

from mta_sts_lab.record_reading import read_record
from mta_sts_lab.runs.leftovers import clean_runs

from tests.cli.program import Shell, end, on_record, record_in, start, until


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_a_killed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start(tmp_path, "run", "starttls/*")
    until(process, lambda: on_record(tmp_path, "AttackFired"))
    assert list(clean_runs(tmp_path / "runs")) == [], "a live run is left alone"
    process.kill()
    end(process)
    record = record_in(tmp_path)
    assert record is not None
    (line,) = clean_runs(tmp_path / "runs")
    assert line.startswith(f"removed {record.parent}/, a run that was killed")
    assert names(tmp_path / "runs") == set()


def test_a_run_that_was_killed_at_any_moment_is_whole_or_gone(tmp_path: Path) -> None:
    dice = random.Random(4)
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(folder, "run", "starttls/strip")
        until(process, (folder / "runs").is_dir)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, 1.2))
        process.kill()
        end(process)
        list(clean_runs(folder / "runs"))
        record = record_in(folder)
        assert not list(folder.rglob("*.part"))
        if record is not None:
            assert read_record(record).footer.complete
        else:
            assert names(folder / "runs") == set()


def test_an_interrupted_run_and_a_whole_one_are_kept(shell: Shell) -> None:
    assert shell("run", "starttls/strip[absent]").status == 0
    (place,) = shell.runs()
    before = shell.left()
    (place / "junit.xml.part").write_text("<half")
    # This process holds the folder itself, as it would in the middle of writing.
    assert list(clean_runs(shell.folder / "runs")) == []
    moved = shell.folder / "elsewhere" / "a-copy"
    moved.parent.mkdir()
    shutil.copytree(place, moved)
    assert list(clean_runs(moved.parent)) == [f"removed {moved / 'junit.xml.part'}, half written"]
    (place / "junit.xml.part").unlink()
    assert [name for name in shell.left() if not name.startswith("elsewhere")] == before


def test_what_is_no_run_is_nobodys_business(tmp_path: Path) -> None:
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    (tmp_path / "runs" / "notes" / "mine.part").write_text("x")
    (tmp_path / "runs" / "20261123-220000-abcdef").mkdir()
    log_only = tmp_path / "runs" / "never-begun" / "target"
    log_only.mkdir(parents=True)
    (log_only / "log.txt").write_text("why it did not come up")
    (empty,) = clean_runs(tmp_path / "runs")
    assert "20261123-220000-abcdef/, a run that was killed" in empty
    assert list(clean_runs(tmp_path / "nowhere")) == []
    assert (tmp_path / "runs" / "notes" / "mine.part").exists()
    assert (log_only / "log.txt").exists()
