"""A run in several processes, each with a mail server in a container of its own."""

from __future__ import annotations

import json
import signal
import time

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target

import docker
from tests.cli.conftest import shell
from tests.cli.program import LONGEST, Shell, end, start, until

__all__ = ["shell"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

RUN = ("run", "starttls/strip", "mx/forged-mx", "--target", "chasquid", "--jobs", "2")


@pytest.fixture
def images(engine: docker.DockerClient) -> None:
    lab_image(engine, print)
    target_image(engine, find_target("chasquid"), print)


def things(engine: docker.DockerClient, run: str) -> list[str]:
    """Return the containers and networks of a run and its parts."""
    there = [*engine.containers.list(all=True, ignore_removed=True), *engine.networks.list()]
    return [thing.name for thing in there if run in thing.name]


def test_one_run_comes_of_it(shell: Shell, engine: docker.DockerClient, images: None) -> None:
    answer = shell(*RUN, "--json")
    assert answer.status == 0, answer.err
    document = json.loads(answer.out)
    assert len(document["cases"]) == 8
    assert document["complete"] is True
    verdicts = {case["id"]: case["verdict"] for case in document["cases"] if not case["known"]}
    # It is held by the memory of levels, and not because of the policy.
    assert verdicts.pop("starttls/strip[enforce]") == "info"
    assert "mx/forged-mx[enforce]" in verdicts
    assert set(verdicts.values()) == {"pass"}
    (folder,) = shell.runs()
    assert "1 of 2: " in answer.err
    assert (folder / "target" / "configuration.txt").read_text().count("--- ") >= 2
    assert things(engine, folder.name) == []


def test_the_containers_go_with_a_run_that_is_killed(shell: Shell, engine: docker.DockerClient, images: None) -> None:
    process = start(shell.folder, *RUN)

    def both_are_attacked() -> bool:
        records = list(shell.folder.glob("runs/*/parts/*/record.jsonl"))
        return len(records) == 2 and all("AttackFired" in path.read_text() for path in records)

    until(process, both_are_attacked, longest=200)
    (folder,) = shell.runs()
    assert len(things(engine, folder.name)) == 6
    process.kill()
    assert end(process).status == -signal.SIGKILL
    give_up = time.monotonic() + LONGEST
    while left := things(engine, folder.name):
        assert time.monotonic() < give_up, left
        time.sleep(0.2)
