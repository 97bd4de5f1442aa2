"""The exercise with a configuration of Postfix: what is wanted of it, and its solution in Docker."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.exercises import check_work, find_exercise, start_work
from mta_sts_lab.exercises.kinds.configuration import ConfigurationTask, compared
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.runs.errors import UsageError

import docker

EXERCISE = find_exercise("postfix-unprotected")
TASK: ConfigurationTask = EXERCISE.parts[0][1]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_shipped_catalogue()


def test_its_cases_and_steps_exist(catalogue: Catalogue) -> None:
    for one in TASK.wanted:
        step = next(step for step in catalogue.cases[one.case].steps if step.name == one.step)
        assert step.send


def test_each_outcome_is_compared() -> None:
    right = {(one.case, one.step): one.outcome for one in TASK.wanted}
    assert [result.right for result in compared(TASK, right)] == [True] * 4
    for place, outcome in right.items():
        other = Outcome.BOUNCED if outcome is not Outcome.BOUNCED else Outcome.LOST
        for seen in (other, Outcome.UNSETTLED, None):
            assert [one.right for one in compared(TASK, right | {place: seen})].count(False) == 1


def test_a_file_that_was_removed(tmp_path: Path) -> None:
    start_work(EXERCISE, tmp_path / "work")
    (tmp_path / "work" / "main.cf").unlink()
    with pytest.raises(UsageError, match="there is no such file"):
        list(check_work(EXERCISE, tmp_path / "work"))


@pytest.mark.docker
@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_the_solution_and_the_task_in_docker(engine: docker.DockerClient, tmp_path: Path) -> None:
    place = tmp_path / "work"
    start_work(EXERCISE, place)
    assert [result.right for result in check_work(EXERCISE, place)] == [True, False, False, True]
    (place / "main.cf").write_bytes(EXERCISE.files(solved=True)["main.cf"])
    assert [result.right for result in check_work(EXERCISE, place)] == [True] * 4
