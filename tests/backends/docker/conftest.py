from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import docker
from tests.backends.docker.throw_away import FinishedRun, ThrowAway, run_on


@pytest.fixture
def throw_away(engine: docker.DockerClient, tmp_path: Path) -> Iterator[ThrowAway]:
    """A target folder outside the checkout; its image goes with the test."""
    target = ThrowAway(engine, tmp_path / "target", f"throwaway-{secrets.token_hex(4)}")
    yield target
    target.forget()


@pytest.fixture(scope="session")
def postfix_run(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The whole catalogue against Postfix, played once for all tests that look at it. They are marked `alone`."""
    return run_on(engine, tmp_path_factory.mktemp("postfix"), "postfix")
