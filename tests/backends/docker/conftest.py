from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import docker
from tests.backends.docker.throw_away import ThrowAway


@pytest.fixture
def throw_away(engine: docker.DockerClient, tmp_path: Path) -> Iterator[ThrowAway]:
    """A target folder outside the checkout; its image goes with the test."""
    target = ThrowAway(engine, tmp_path / "target", f"throwaway-{secrets.token_hex(4)}")
    yield target
    target.forget()
