"""Several images at once: what fails is named, and takes nothing else with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import build_all
from mta_sts_lab.backends.folder import read_folder

import docker
from tests.backends.docker.throw_away import ThrowAway

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]


def test_a_failed_build_is_named_and_the_others_are_built(engine: docker.DockerClient, tmp_path: Path) -> None:
    made = [ThrowAway(engine, tmp_path / name, f"throwaway-{name}") for name in ("good", "bad", "late")]
    try:
        for target, line in zip(made, ("RUN true", "RUN echo no such package && exit 9", "RUN sleep 1"), strict=True):
            target.write(line)
        said: list[str] = []
        good, bad, late = build_all([read_folder(target.folder) for target in made], said.append)
        assert (good.target, good.problem) == ("throwaway-good", "")
        assert good.image.startswith("mta-sts-lab/throwaway-good:")
        assert late.image.startswith("mta-sts-lab/throwaway-late:")
        assert (bad.target, bad.image) == ("throwaway-bad", "")
        assert "no such package" in bad.problem
        assert len([line for line in said if "throwaway" in line]) == 3
    finally:
        for target in made:
            target.forget()
