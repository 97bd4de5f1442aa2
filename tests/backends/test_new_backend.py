"""A new backend is one module: it says how a target is brought up, and target.toml may name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mta_sts_lab.backends import registry
from mta_sts_lab.backends.local import LocalBackend
from mta_sts_lab.backends.registry import BackendError, Job, TargetRefused, find_backend, register
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.runner.run import RunningWorld
from mta_sts_lab.runs import RunRequest, run
from mta_sts_lab.targets.contract import Target


class Toy(LocalBackend):
    """Brings the reference sender up under another name, or nothing at all."""

    name = "toy"

    def __init__(self) -> None:
        self.folders: list[Path] = []

    async def start(self, world: RunningWorld, job: Job) -> Target:
        self.folders.append(job.target.path)
        if job.target.name == "toy-that-breaks":
            raise BackendError("the toy is broken")
        target = InProcessTarget(
            network=world.network, dns=world.dns_address, ca_pem=world.ca_pem.decode(), directory=job.directory / "toy"
        )
        await target.start()
        return target


@pytest.fixture
def toy() -> Iterator[Toy]:
    backend = Toy()
    register(backend)
    yield backend
    del registry._registered["toy"]


def folder(path: Path, name: str) -> Path:
    path.mkdir()
    lines = (f'name = "{name}"', 'title = "A toy"', 'description = "For a test."', 'backend = "toy"')
    (path / "target.toml").write_text("\n".join(lines))
    return path


def test_a_case_is_played_on_it(tmp_path: Path, toy: Toy) -> None:
    target = folder(tmp_path / "a-toy", "a-toy")
    result = run(RunRequest(("starttls/strip[enforce]",), target=str(target), out=tmp_path / "runs"))
    assert {verdict.case: verdict.grade.value for verdict in result.verdicts} == {
        "starttls/strip[enforce]": "pass",
        "starttls/strip[absent]": "pass",
    }
    assert toy.folders == [target]
    assert "delivered" in (result.folder / "target" / "log.txt").read_text()
    assert (result.folder / "target" / "toy").is_dir()


def test_what_it_raises_leaves_no_run(tmp_path: Path, toy: Toy) -> None:
    target = folder(tmp_path / "broken", "toy-that-breaks")
    with pytest.raises(BackendError, match="the toy is broken"):
        run(RunRequest(("starttls/strip[enforce]",), target=str(target), out=tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_it_has_no_flaws_to_choose_from(tmp_path: Path, toy: Toy) -> None:
    target = folder(tmp_path / "a-toy", "a-toy")
    with pytest.raises(TargetRefused, match="--flaw is for the reference sender; a-toy has only the flaws it has"):
        run(RunRequest(("starttls/strip",), target=str(target), flaws=("ignores_policy",), out=tmp_path / "runs"))


def test_one_that_nobody_registered_is_refused() -> None:
    with pytest.raises(TargetRefused, match="there is no backend 'toy'; there are docker, in_process"):
        find_backend("toy")
