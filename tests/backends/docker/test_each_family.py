"""The third ring: a few cases of each family on real mail servers. The whole catalogue takes minutes (`test_targets.py`)."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from mta_sts_lab.model.case import Mode, Scenario
from mta_sts_lab.runs import load_shipped_catalogue

import docker
from tests.backends.docker.throw_away import (
    WITH_THE_IMAGE,
    no_finding_but_known_ones,
    run_on,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(WITH_THE_IMAGE)]


def _few_cases() -> list[str]:
    """Return the ids of a case of the first and of the middle scenario of each family."""
    scenarios = sorted(load_shipped_catalogue().scenarios, key=lambda scenario: scenario.id)
    families = [list(members) for _, members in groupby(scenarios, key=lambda one: one.id.partition("/")[0])]
    return [_one_case(members[place]) for members in families for place in sorted({0, len(members) // 2})]


def _one_case(scenario: Scenario) -> str:
    """Return the id of a case under enforce, where there is one: a policy is kept there, or is not."""
    return min(scenario.cases, key=lambda case: case.mode is not Mode.ENFORCE).id


@pytest.mark.parametrize("name", ["postfix", "chasquid"])
def test_a_few_cases_of_each_family_show_what_is_known_of_the_target(
    engine: docker.DockerClient, tmp_path: Path, name: str
) -> None:
    cases = _few_cases()
    run = run_on(engine, tmp_path, name, *cases)
    assert set(cases) <= {case["id"] for case in run.document["cases"]}
    no_finding_but_known_ones(run)
