"""`sts-lab exercise` and `sts-lab flaws` as a learner types them."""

from __future__ import annotations

import re

import pytest
from mta_sts_lab.backends.in_process import known_flaws
from mta_sts_lab.exercises import find_exercise, shipped_exercises

from tests.cli.program import Shell


def test_a_learner_solves_one(shell: Shell) -> None:
    assert "1  A sender that is nearly right" in shell("exercise", "list").out
    started = shell("exercise", "start", "4")
    assert (started.status, "report-check" in started.out) == (0, True)
    assert shell("exercise", "check", "4").status == 1
    work = shell.folder / "exercise-4"
    (work / "answers.toml").write_bytes(find_exercise("4").files(solved=True)["answers.toml"])
    assert "Exercise 4 is solved" in shell("exercise", "check", "4").out
    assert shell("exercise", "check", "4", "--folder", "exercise-4").status == 0


def test_hints_solution_and_sheet(shell: Shell) -> None:
    first = find_exercise("1")
    assert "next: sts-lab exercise hint 1 2" in shell("exercise", "hint", "1").out
    assert "has 3 hints" in shell("exercise", "hint", "1", "4").message(2)
    assert first.solution.flaw in shell("exercise", "solution", "1").out
    sheet = shell("exercise", "sheet").out
    assert all(exercise.head.title in sheet for exercise in shipped_exercises())
    assert all(len(line) <= 80 for line in sheet.splitlines())


def test_no_file_of_a_run_names_the_flaw(shell: Shell) -> None:
    flaw = known_flaws()[find_exercise("1").solution.flaw]
    answer = shell("run", "starttls/starttls-refused", "--mode", "enforce", "--exercise", "1")
    assert answer.status == 1
    assert re.search(r"starttls-refused\[enforce,\d+\]' --exercise 1", " ".join(answer.out.split()))
    (folder,) = shell.runs()
    written = [
        answer.out,
        *(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()),
    ]
    assert len(written) > 4
    assert not any(flaw.name in text or flaw.text in text for text in written)
    assert '"name":"the sender of nearly-right"' in (folder / "record.jsonl").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--exercise", "1", "--flaw", "ignores_policy"), "a sender of its own"),
        (("--exercise", "1", "--target", "postfix"), "a sender of its own"),
        (("--exercise", "3"), "is not about a sender"),
        (("--exercise", "nope"), "there is no exercise"),
    ],
)
def test_options_that_do_not_fit(shell: Shell, options: tuple[str, ...], words: str) -> None:
    assert words in shell("run", "starttls/strip", *options).message(2)
    assert shell.runs() == []


def test_flaws(shell: Shell) -> None:
    every = shell("flaws").out
    assert all(name in every for name in known_flaws())
    some = shell("flaws", "STARTTLS", "clear").out
    assert "sends_clear_without_starttls" in some
    assert "ignores_policy" not in some
    assert "no flaw has" in shell("flaws", "unheard-of").message(2)
