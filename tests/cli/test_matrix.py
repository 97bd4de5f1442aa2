"""`sts-lab matrix`: runs by folder and by id become one table, and what cannot be used is said in one message."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from tests.cli.program import Shell, end, start
from tests.reports.records import schema

# One process plays the two runs for all tests.
pytestmark = pytest.mark.xdist_group("cli-matrix")

STRIP = "starttls/strip"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: the reference sender, and one that ignores policies and plays one mode only."""
    folder = tmp_path_factory.mktemp("matrix")
    assert end(start(folder, "run", STRIP)).status == 0
    assert end(start(folder, "run", STRIP, "--mode", "enforce", "--flaw", "ignores_policy")).status == 1
    return folder / "runs"


@pytest.fixture
def places(shell: Shell, made: Path) -> tuple[Path, Path]:
    """The folders of the two runs: the correct sender's, then the other's."""
    shutil.copytree(made, shell.folder / "runs")
    good, bad = sorted(shell.runs(), key=lambda place: "ignores_policy" in (place / "verdicts.json").read_text()[:2000])
    return good, bad


class TestForms:
    def test_by_folder_and_by_id_in_the_terminal(self, shell: Shell, places: tuple[Path, Path]) -> None:
        answer = shell("matrix", places[0].name, str(places[1]))
        assert answer.status == 0
        assert " 1  reference (ignores_policy)" in answer.out, "the worst first, in whichever order they were named"
        assert " 2  reference  " in answer.out
        assert "strip[enforce]  F  P" in answer.out
        assert "3 more cases: pass in every column" in answer.out
        assert "3 cases of others were not run" in " ".join(answer.out.split())
        assert shell("matrix", places[0].name, str(places[1]), "--all").out.count("strip[") == 4
        assert "strip" not in shell("matrix", places[0].name, "--brief").out

    def test_json(self, shell: Shell, places: tuple[Path, Path]) -> None:
        answer = shell("matrix", *(place.name for place in places), "--json")
        document = json.loads(answer.out)
        jsonschema.validate(document, schema("matrix"), cls=jsonschema.Draft202012Validator)
        assert [column["run"] for column in document["columns"]] == [places[1].name, places[0].name]
        assert document["columns"][0]["totals"]["verdicts"]["fail"] == 1
        assert document["columns"][0]["totals"]["not-run"] == 3

    def test_markdown(self, shell: Shell, places: tuple[Path, Path]) -> None:
        answer = shell("matrix", *(place.name for place in places), "--markdown")
        assert "| `starttls/strip[enforce]` | 🟥 F delivered-clear | 🟩 P |" in answer.out
        assert answer.err == ""

    def test_one_page(self, shell: Shell, places: tuple[Path, Path]) -> None:
        answer = shell("matrix", *(place.name for place in places), "--html", "page.html")
        assert (answer.status, answer.out) == (0, "")
        assert "page: page.html" in answer.err
        text = (shell.folder / "page.html").read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>")
        assert text.count('<script type="text/plain" id="e') == 2
        both = shell("matrix", places[0].name, "--html", "page.html", "--json")
        assert json.loads(both.out)["format"] == 3

    def test_a_run_that_is_named_twice_counts_once(self, shell: Shell, places: tuple[Path, Path]) -> None:
        document = json.loads(shell("matrix", places[0].name, f"{places[0]}/", "--json").out)
        assert len(document["columns"]) == 1


class TestTrouble:
    def test_no_run_is_said_and_every_one_of_several(self, shell: Shell, places: tuple[Path, Path]) -> None:
        (places[1] / "verdicts.json").unlink()
        message = shell("matrix", "no-such-run", *(place.name for place in places)).message(2)
        assert "no-such-run: no record of a run there" in message
        assert f"`sts-lab judge runs/{places[1].name}` judges what was played" in message
        assert "Usage:" in shell("matrix").err

    def test_what_is_no_run_is_left_out(self, shell: Shell, places: tuple[Path, Path]) -> None:
        (shell.folder / "runs" / "never-began" / "target").mkdir(parents=True)
        answer = shell("matrix", "runs/never-began", places[0].name)
        assert answer.status == 0
        assert "left out: runs/never-began: no run; it did not begin" in answer.err
        (shell.folder / "docs").mkdir()
        assert "docs: no record of a run there" in shell("matrix", "docs", places[0].name).message(2)

    def test_a_record_without_its_footer(self, shell: Shell, places: tuple[Path, Path]) -> None:
        record = places[0] / "record.jsonl"
        record.write_bytes(record.read_bytes()[:-40])
        assert "truncated: the last line is no footer; repeat the run" in shell("matrix", places[0].name).message(2)

    def test_broken_verdicts(self, shell: Shell, places: tuple[Path, Path]) -> None:
        (places[0] / "verdicts.json").write_text("{}")
        assert "`sts-lab judge` writes it anew" in shell("matrix", places[0].name).message(2)

    def test_verdicts_of_another_run(self, shell: Shell, places: tuple[Path, Path]) -> None:
        shutil.copy(places[0] / "verdicts.json", places[1] / "verdicts.json")
        assert "verdicts.json is not about this record" in shell("matrix", places[1].name).message(2)

    def test_a_copy_of_a_run(self, shell: Shell, places: tuple[Path, Path]) -> None:
        shutil.copytree(places[0], shell.folder / "copy")
        assert "copy: the same run as" in shell("matrix", places[0].name, "copy").message(2)

    def test_a_page_that_cannot_be_written(self, shell: Shell, places: tuple[Path, Path]) -> None:
        assert "--html no/such/folder.html: cannot be written" in shell(
            "matrix", places[0].name, "--html", "no/such/folder.html"
        ).message(2)

    def test_two_documents_at_once(self, shell: Shell, places: tuple[Path, Path]) -> None:
        assert "choose one" in shell("matrix", places[0].name, "--json", "--markdown").message(2)
