"""The lab on somebody's network: what of it can be tried without an engine."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mta_sts_lab.backends.joined import JoinedNetwork, target_in_network
from mta_sts_lab.backends.joined.asked import authority_of
from mta_sts_lab.backends.joined.run import _lab_container, _Site
from mta_sts_lab.backends.registry import Job, TargetRefused
from mta_sts_lab.backends.target_folder import Joined, TargetFile, TargetFolder
from mta_sts_lab.runner.plan import name_of_play, plan_run

from tests.runner.arena import Kept


def _job(run: str) -> Job:
    file = TargetFile(name="mta", title="mta", description="", backend="joined", joined=Joined("net", "mta", ()))
    plan = replace(plan_run((), {}, ("sts-lab", "serve"), 1), run=run)
    return Job(plan, TargetFolder(Path(), file), Kept().outlet(), Path())


def test_a_case_is_played_again_under_the_ca_that_the_container_has() -> None:
    first = authority_of(_job("one"))
    assert authority_of(_job(name_of_play("one", 2))) is first
    assert authority_of(_job("two")) is not first


def test_a_claim_that_nobody_knows_is_refused() -> None:
    JoinedNetwork().check(target_in_network(Joined("net", "mta", ("mta-sts",)), 25, 60), ())
    with pytest.raises(TargetRefused, match="it claims 'mtasts'"):
        JoinedNetwork().check(target_in_network(Joined("net", "mta", ("mtasts",)), 25, 60), ())


def test_the_labs_container_is_bounded_and_has_no_key_on_a_disk() -> None:
    """What the engine is asked for. The key of the CA goes to the container's standard input."""
    asked: dict[str, Any] = {}
    files: dict[str, bytes] = {}

    def put_archive(folder: str, octets: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
            for member in archive:
                held = archive.extractfile(member) if member.isreg() else None
                files.update({member.name: held.read()} if held else {})

    def create(image: str, command: list[str], **options: Any) -> Any:
        asked.update(options)
        return SimpleNamespace(put_archive=put_archive)

    job = _job("three")
    assert job.target.file.joined is not None
    engine: Any = SimpleNamespace(containers=SimpleNamespace(create=create))
    _lab_container(_Site(engine, job, job.target.file.joined, "image", authority_of(job)), "192.0.2.9")
    assert sorted(files) == ["lab/ca.pem", "lab/plan.json"]
    assert [name for name, content in files.items() if b"PRIVATE KEY" in content] == []
    assert asked["mem_limit"] == "4096m"
    assert (asked["pids_limit"], asked["cap_drop"], asked["security_opt"]) == (2048, ["ALL"], ["no-new-privileges"])
    assert not {"volumes", "mounts", "privileged", "ports", "pid_mode"} & asked.keys()
