"""The lab on somebody's network: what of it can be tried without an engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mta_sts_lab.backends.joined.asked import authority_of
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.backends.target_folder import TargetFile, TargetFolder
from mta_sts_lab.runner.plan import name_of_play, plan_run

from tests.runner.arena import Kept


def _job(run: str) -> Job:
    file = TargetFile(name="mta", title="mta", description="", backend="joined")
    plan = replace(plan_run((), {}, ("sts-lab", "serve"), 1), run=run)
    return Job(plan, TargetFolder(Path(), file), Kept().outlet(), Path())


def test_a_case_is_played_again_under_the_ca_that_the_container_has() -> None:
    first = authority_of(_job("one"))
    assert authority_of(_job(name_of_play("one", 2))) is first
    assert authority_of(_job("two")) is not first
