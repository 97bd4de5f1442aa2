"""The lab on somebody's network: what of it can be tried without an engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.joined import JoinedNetwork, target_in_network
from mta_sts_lab.backends.joined.asked import authority_of
from mta_sts_lab.backends.registry import Job, TargetRefused
from mta_sts_lab.backends.target_folder import Joined, TargetFile, TargetFolder
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


def test_a_claim_that_nobody_knows_is_refused() -> None:
    JoinedNetwork().check(target_in_network(Joined("net", "mta", ("mta-sts",)), 25, 60), ())
    with pytest.raises(TargetRefused, match="it claims 'mtasts'"):
        JoinedNetwork().check(target_in_network(Joined("net", "mta", ("mtasts",)), 25, 60), ())
