from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target

import docker
from tests.backends.docker.throw_away import WHOLE_CATALOGUE, FinishedRun, ThrowAway, play


@pytest.fixture
def throw_away(engine: docker.DockerClient, tmp_path: Path) -> Iterator[ThrowAway]:
    """A target folder outside the checkout; its image goes with the test."""
    target = ThrowAway(engine, tmp_path / "target", f"throwaway-{secrets.token_hex(4)}")
    yield target
    target.forget()


@pytest.fixture(scope="session")
def postfix_run(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The whole catalogue against Postfix, played once for all tests that look at it. They are marked `alone`."""
    lab_image(engine, print)
    target_image(engine, find_target("postfix"), print)
    place = tmp_path_factory.mktemp("postfix")
    return FinishedRun(play(place, "run", "--json", "--target", "postfix", longest=WHOLE_CATALOGUE), place)
