"""`--scenarios DIR`: scenario files outside the checkout, one of them with a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.record_reading import read_record

from tests.catalogue.files import GOOD, put
from tests.cli.program import Shell

OWN = ("--scenarios", "mine")


@pytest.fixture
def mine(shell: Shell) -> Path:
    folder = shell.folder / "mine"
    put(folder, GOOD, "home/strip")
    return folder


def test_they_are_listed_shown_and_checked(shell: Shell, mine: Path) -> None:
    listed = shell("list", *OWN)
    assert (listed.status, "home/strip" in listed.out, "starttls" in listed.out) == (0, True, False)
    assert shell("lint", *OWN).out.startswith("1 scenarios, 4 cases: no errors")
    assert "A title" in shell("show", "home/strip[enforce]", *OWN).out
    assert "home/strip" in shell("requirements", "STS-5-03", *OWN).out


def test_they_are_played_and_judged_again(shell: Shell, mine: Path) -> None:
    put(mine, GOOD.replace("outcome = ", "outcom = "), "home/spoiled")
    played = shell("run", "home/strip[enforce]", *OWN, "--flaw", "sends_clear_without_starttls")
    assert played.status == 2, "a file was left out"
    assert "FAIL" in played.out
    assert "sts-lab run 'home/strip[enforce]' --scenarios mine --flaw" in " ".join(played.out.split())
    assert "left out: mine/home/spoiled.toml:" in played.err
    (folder,) = shell.runs()
    assert {case.scenario for case in read_record(folder / "record.jsonl").header.cases} == {"home/strip"}
    again = shell("judge", folder.name)
    assert (again.status, "no verdict changed" in again.out) == (1, True)


def test_a_demonstration(shell: Shell, mine: Path) -> None:
    answer = shell("demo", "strip", "--mode", "enforce", *OWN)
    assert answer.status == 0
    assert "A title" in answer.out


def test_one_bad_file_does_not_stop_the_others(shell: Shell, mine: Path) -> None:
    put(mine, "title = ", "home/spoiled")
    (mine / "home" / "gone.toml").symlink_to("nowhere")
    answer = shell("list", *OWN)
    assert answer.status == 2
    assert "home/strip" in answer.out
    assert answer.err.count("left out: ") == 2
    linted = shell("lint", *OWN)
    assert (linted.status, "1 scenarios, 4 cases: 2 errors" in linted.out) == (2, True)


def test_nothing_is_left(shell: Shell, mine: Path) -> None:
    put(mine, "title = ", "home/strip")
    assert "mine/home/strip.toml:1: not TOML" in shell("run", *OWN).message(2)
    assert "no such folder" in shell("run", "--scenarios", "gone").message(2)
    assert shell.runs() == []
