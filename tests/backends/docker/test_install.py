"""`--install`: a package and a program of one's own are in the image that is judged."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target

import docker
from tests.backends.docker.throw_away import FinishedRun, play

pytestmark = [pytest.mark.docker, pytest.mark.thorough, pytest.mark.timeout(400)]

#: Of the names of images with something installed.
INSTALLED = "mta-sts-lab/chasquid-installed"

CONTROL = (
    "Package: own-tool\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: x\n"
)


def _package(place: Path) -> Path:
    """Return a Debian package with one file."""
    tree = place / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL)
    (tree / "usr" / "share" / "own-tool").mkdir(parents=True)
    (tree / "usr" / "share" / "own-tool" / "file").write_text("of the package\n")
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(place / "own.deb")], check=True)
    return place / "own.deb"


def test_a_package_and_a_program_are_in_the_image(engine: docker.DockerClient, tmp_path: Path) -> None:
    if not shutil.which("dpkg-deb"):
        pytest.skip("there is no dpkg-deb to make a package with")
    lab_image(engine, print)
    target_image(engine, find_target("chasquid"), print)
    before = {image.id for image in engine.images.list(name=INSTALLED)}
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho the program and the file $(cat /usr/share/own-tool/file)\n")
    program.chmod(0o755)
    options = ("--install", str(_package(tmp_path)), "--install", f"{program}=/usr/local/bin/own-tool")
    done = FinishedRun(play(tmp_path, "run", "--target", "chasquid", *options, "--json", "starttls/strip"), tmp_path)
    made = [image for image in engine.images.list(name=INSTALLED) if image.id not in before]
    try:
        assert done.case("starttls/strip[enforce]")["verdict"] in ("pass", "info"), done.answer
        (image,) = made
        said = engine.containers.run(image.id, entrypoint=["own-tool"], remove=True)
        assert said == b"the program and the file of the package\n"
    finally:
        for image in made:
            for tag in image.tags:
                engine.images.remove(tag)
