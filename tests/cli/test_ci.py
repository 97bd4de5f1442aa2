"""What a run writes for continuous integration, and the baseline with which only changes count."""

import json
from xml.etree import ElementTree as ET

import pytest

from tests.cli.program import Shell

CASE = "starttls/strip[enforce]"
FLAWED = ("run", CASE, "--flaw", "ignores_policy")


def test_a_run_writes_its_files_and_a_baseline_with_which_it_is_as_expected(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    first = shell(*FLAWED, "--junit", "out.xml", "--sarif", "out.sarif", "--write-known", "known.toml")
    assert first.status == 1
    (annotation,) = [line for line in first.err.splitlines() if line.startswith("::")]
    assert annotation.startswith(f"::error title=fail%3A {CASE}::delivered-clear")
    assert ET.parse(shell.folder / "out.xml").getroot().get("failures") == "1"
    (run,) = json.loads((shell.folder / "out.sarif").read_text())["runs"]
    assert {result["ruleId"] for result in run["results"]} >= {"STS-5-03"}
    second = shell(*FLAWED, "--known", "known.toml", "--junit", "out.xml", "--junit-known", "passed")
    assert second.status == 0, second.out
    assert "::" not in second.err
    suite = ET.parse(shell.folder / "out.xml").getroot()
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0")
    # Judged again, a run is compared with the list that it was played with.
    last = max(shell.runs(), key=lambda folder: folder.stat().st_mtime)
    assert shell("judge", last.name, "--junit", "again.xml").status == 0
    skipped = ET.parse(shell.folder / "again.xml").find(".//skipped")
    assert skipped is not None
    assert (skipped.get("message") or "").startswith("known failure: Baseline, not looked at yet. RFC 8461")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--junit", "nowhere/out.xml"), "--junit nowhere/out.xml: there is no folder nowhere"),
        (("--sarif", "."), "--sarif .: is a folder"),
        (("--known", "nowhere.toml"), "there is no such file; --write-known writes one"),
        (("--target", "reference", "--target", "postfix", "--junit", "out.xml"), "--junit is about one target"),
    ],
)
def test_a_file_that_could_not_be_written_is_refused_before_anything_is_played(
    shell: Shell, arguments: tuple[str, ...], hint: str
) -> None:
    assert hint in shell("run", CASE, *arguments).message(2)
    assert not shell.runs()


def test_a_list_with_reasons_is_not_overwritten(shell: Shell) -> None:
    (shell.folder / "known.toml").write_text("# reasons\n")
    assert "its reasons would be lost" in shell("run", CASE, "--write-known", "known.toml").message(2)
    assert (shell.folder / "known.toml").read_text() == "# reasons\n"
