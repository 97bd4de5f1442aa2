"""The wheel, built from a clean clone and installed in an environment of its own: all commands work outside a checkout."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import docker
from tests.cli.program import ROOT
from tests.tlsrpt.builder import good, text

pytestmark = [pytest.mark.xdist_group("wheel"), pytest.mark.timeout(380)]

#: Seconds that a command may take; the longest builds an image and plays a target's self-test.
LONGEST = 240.0

#: Prints the name that each image would have.
PRINT_IMAGES = """
from mta_sts_lab.backends.docker import images
from mta_sts_lab.backends.folder import shipped_targets
images._image = lambda client, name, context, say: f"{name}:{context.digest()}"
print(images.lab_image(None, print), *(images.target_image(None, one, print) for one in shipped_targets().values()))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A clone of the repository, the wheel that was built from it, and the environment where that is installed."""

    clone: Path
    wheel: Path
    environment: Path

    def __call__(self, place: Path, *arguments: str, status: int = 0) -> str:
        """Run `sts-lab` in a folder, check how it ends, and return what it printed."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [self.environment / "bin" / "sts-lab", *arguments],
            cwd=place,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST,
        )
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout

    def data(self) -> Path:
        """Return where the package keeps the files that come with it."""
        (package,) = self.environment.glob("lib/python3*/site-packages/mta_sts_lab")
        return package / "_data"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel of the last commit; its dependencies are those of this environment."""
    top = tmp_path_factory.mktemp("wheel")
    clone, environment = top / "clone", top / "environment"

    def do(*command: str | Path, place: Path = top) -> None:
        subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=LONGEST)

    do("git", "clone", "--quiet", ROOT, clone)
    (clone / "docker" / "extra-ca" / "private.crt").write_text("a certificate of this machine's", encoding="utf-8")
    do(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", top / "dist", place=clone)
    (wheel,) = (top / "dist").iterdir()
    do(sys.executable, "-m", "venv", environment)
    do(environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    (packages,) = environment.glob("lib/python3*/site-packages")
    here = [entry for entry in (*site.getsitepackages(), *sys.path) if entry.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dict.fromkeys(here)), encoding="utf-8")
    return Installed(clone, wheel, environment)


def judged(document: str) -> dict[str, str]:
    return {case["id"]: case["verdict"] for case in json.loads(document)["cases"]}


def test_the_wheel_brings_one_package_and_nothing_of_this_machine(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mta_sts_lab"}
    assert not [name for name in names if "extra-ca/" in name or "__pycache__" in name or "docs/course" in name]


def test_all_that_is_shipped_is_installed_and_can_be_executed_as_before(installed: Installed) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "docker", "scenarios", "exercises"],
        cwd=installed.clone,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    shipped = [name for name in listed if not name.startswith("docker/extra-ca/")]
    assert len([name for name in shipped if os.access(installed.clone / name, os.X_OK)]) > 50
    for name in shipped:
        there = installed.data() / name
        assert there.read_bytes() == (installed.clone / name).read_bytes()
        assert os.access(there, os.X_OK) == os.access(installed.clone / name, os.X_OK), name


def test_images_have_the_same_names_as_in_a_checkout(installed: Installed, tmp_path: Path) -> None:
    def names(python: Path | str, **environment: str) -> list[str]:
        done = subprocess.run(
            [python, "-c", PRINT_IMAGES],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    of_wheel = names(installed.environment / "bin" / "python")
    assert of_wheel == names(sys.executable, PYTHONPATH=str(installed.clone / "lab"))
    assert len(of_wheel) > 10


def test_commands_that_need_no_engine(installed: Installed, tmp_path: Path) -> None:
    assert "starttls/strip\n" in installed(tmp_path, "list")
    assert "STS-5-01" in installed(tmp_path, "requirements", "STS-5-01")
    (tmp_path / "report.json").write_bytes(text(good()))
    installed(tmp_path, "report-check", "report.json")
    assert "opensmtpd-tls" in installed(tmp_path, "targets")
    assert "23:59:59" in installed(tmp_path, "docs", "ambiguities#end-of-day")
    verdicts = judged(installed(tmp_path, "run", "starttls/*", "--json"))
    assert len(verdicts) > 30
    assert set(verdicts.values()) == {"pass"}
    assert "enforce" in installed(tmp_path, "demo", "strip")
    assert "policy-check" in installed(tmp_path, "exercise", "start", "3")
    assert "line 2: unknown mode 'Enforce'" in installed(tmp_path, "policy-check", "exercise-3/mta-sts.txt", status=1)
    assert "wrote my-mta/toy_sender.py" in installed(tmp_path, "init", "my-mta")


def test_pytest_finds_the_plugin(installed: Installed, tmp_path: Path) -> None:
    python = installed.environment / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pytest", "--sts-target", "reference", "--sts-case", "starttls/strip[absent]", "-v"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sts-lab::starttls/strip[absent] PASSED" in done.stdout


@pytest.mark.docker
def test_a_mail_server_is_built_and_judged(engine: docker.DockerClient, installed: Installed, tmp_path: Path) -> None:
    verdicts = judged(installed(tmp_path, "run", "starttls/strip", "--target", "postfix", "--json"))
    assert verdicts["starttls/strip[enforce]"] in ("pass", "info"), "mail is held; its report quotes a whole reply"
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "target" / "log.txt").read_text(encoding="utf-8")


@pytest.mark.docker
def test_the_guides_own_example_is_followed(engine: docker.DockerClient, installed: Installed, tmp_path: Path) -> None:
    """What docs/adding-an-mta.md has its readers type, in a folder of their own."""
    shutil.copytree(installed.clone / "docs" / "my-mta", tmp_path / "my-mta")
    findings: list[dict[str, Any]] = json.loads(installed(tmp_path, "target-check", "--json", "./my-mta"))["findings"]
    results = {finding["part"]: finding["result"] for finding in findings}
    assert results["GET /queue"] == results["POST /flush"] == results["honest delivery"] == "ok"
    verdicts = judged(installed(tmp_path, "run", "starttls/strip", "--json", "--target", "./my-mta", status=1))
    assert verdicts["starttls/strip[enforce]"] == "fail", "it knows no policies"
