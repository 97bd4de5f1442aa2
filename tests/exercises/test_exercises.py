"""Exercises: each can be solved by its solution and by nothing less, and a new one is a new folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mta_sts_lab.backends.in_process import known_flaws
from mta_sts_lab.exercises import Exercise, check_work, find_exercise, shipped_exercises, start_work
from mta_sts_lab.exercises.exercise import exercises_in, read_exercise
from mta_sts_lab.exercises.registry import Kind, Result, _kinds, register
from mta_sts_lab.exercises.sheet import sheet
from mta_sts_lab.runs.errors import UsageError

SHIPPED = shipped_exercises()
IN_PROCESS = [one for one in SHIPPED if "configuration" not in {kind.name for kind, _ in one.parts}]

MINE = """
number = 9
title = "Mine"
task = "Say what it is."
hints = ["It is short."]
minutes = 1
measured = "Not measured."

[[question]]
name = "what"
ask = "What is it?"
"""


def mine(folder: Path, text: str = MINE, solution: str = 'solution = "x"\n[answers]\nwhat = ["An X", "y"]\n') -> Path:
    place = folder / "mine"
    place.mkdir()
    (place / "exercise.toml").write_text(text, encoding="utf-8")
    (place / "solution.toml").write_text(solution, encoding="utf-8")
    return place


def named(exercise: Exercise) -> str:
    return exercise.name


def test_the_numbers_go_up_from_one() -> None:
    assert [exercise.head.number for exercise in SHIPPED] == list(range(1, len(SHIPPED) + 1))


@pytest.mark.parametrize("exercise", SHIPPED, ids=named)
def test_it_has_what_a_learner_and_a_trainer_need(exercise: Exercise) -> None:
    assert exercise.head.hints
    assert exercise.parts
    assert exercise.solution.solution.strip()
    assert "easured" in exercise.head.measured
    assert not exercise.solution.flaw or exercise.solution.flaw in known_flaws()
    for part in (exercise.head.task, *exercise.head.hints):
        assert not exercise.solution.flaw or exercise.solution.flaw not in part


@pytest.mark.parametrize("exercise", IN_PROCESS, ids=named)
def test_only_the_solution_solves_it(exercise: Exercise, tmp_path: Path) -> None:
    place = tmp_path / "work"
    start_work(exercise, place)
    assert not any(result.right for result in check_work(exercise, place))
    for name, octets in exercise.files(solved=True).items():
        (place / name).write_bytes(octets)
    results = list(check_work(exercise, place))
    assert results
    assert all(result.right for result in results), results


@pytest.mark.parametrize("exercise", IN_PROCESS, ids=named)
def test_each_wrong_answer_is_found(exercise: Exercise, tmp_path: Path) -> None:
    start_work(exercise, tmp_path / "work")
    solved = exercise.files(solved=True)
    for name, octets in solved.items():
        (tmp_path / "work" / name).write_bytes(octets)
    for name, octets in solved.items():
        lines = octets.splitlines(keepends=True)
        for number, line in enumerate(lines):
            if name == "answers.toml" and line.endswith(b'"\n'):
                (tmp_path / "work" / name).write_bytes(
                    b"".join([*lines[:number], line[:-2] + b'zz"\n', *lines[number + 1 :]])
                )
                assert sum(not result.right for result in check_work(exercise, tmp_path / "work")) == 1
        (tmp_path / "work" / name).write_bytes(octets)


def test_a_new_exercise_is_a_new_folder(tmp_path: Path) -> None:
    place = mine(tmp_path)
    (found,) = exercises_in(tmp_path)
    assert find_exercise(str(place)).head.title == found.head.title == "Mine"
    work = tmp_path / "work"
    assert set(start_work(found, work)) == {"TASK.txt", "answers.toml"}
    (work / "answers.toml").write_text('what = " an  x."\n')
    assert [result.right for result in check_work(found, work)] == [True]
    assert "Exercise 9: Mine" in sheet([found])


def test_a_new_kind_of_check_is_one_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mta_sts_lab.exercises.registry._kinds", dict(_kinds))
    register(Kind("file", str, lambda name, _solution, folder: iter([Result((folder / name).exists(), name)])))
    place = mine(tmp_path, MINE.partition("[[")[0] + 'file = "here.txt"\n', 'solution = "x"\n')
    exercise = read_exercise(place)
    start_work(exercise, tmp_path / "work")
    assert [result.right for result in check_work(exercise, tmp_path / "work")] == [False]
    (tmp_path / "work" / "here.txt").touch()
    assert [result.right for result in check_work(exercise, tmp_path / "work")] == [True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINE.replace("minutes = 1", "minuts = 1"), "unknown key 'minuts'"),
        (MINE.replace("minutes = 1", 'minutes = "1"'), "Expected `int`"),
        (MINE.replace("title =", "title"), "exercise.toml: "),
        (MINE.replace('name = "what"', 'nam = "what"'), "nam"),
    ],
)
def test_a_mistake_in_an_exercise_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        exercises_in(mine(tmp_path, text).parent)


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean nearly-right"):
        find_exercise("nearly-rihgt")
    with pytest.raises(UsageError, match="there are 1 \\(nearly-right\\)"):
        find_exercise("77")
    with pytest.raises(UsageError, match="cannot be read"):
        find_exercise("./gone")
    with pytest.raises(UsageError, match="there are no exercises"):
        exercises_in(tmp_path)


def test_no_work_is_overwritten(tmp_path: Path) -> None:
    start_work(SHIPPED[0], tmp_path / "work")
    with pytest.raises(UsageError, match="is not empty"):
        start_work(SHIPPED[0], tmp_path / "work")


@given(octets=st.one_of(st.binary(max_size=80), st.text(max_size=40).map(lambda text: f"flaw = {text}".encode())))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_of_answers_stops_the_check(octets: bytes, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    (work / "answers.toml").write_bytes(octets)
    try:
        said = [result.right for result in check_work(SHIPPED[0], work)]
    except UsageError as error:
        said = ["answers.toml" not in str(error)]
    assert not any(said)
