"""A report whose total is below the number of hosts that failed: reporters count differently, but not so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.reference.report_counts import PolicyCounts, ReportCounts

from tests.runner.arena import Arena, cases_of

CASE = "rpt-content/aggregation[enforce]"


def counts_once(self: ReportCounts, domain: str, policy: Any, failure: Any) -> None:
    """Say of any number of failed sessions that it was one."""
    day = self._today(domain)
    counts = day.policies.setdefault(policy, PolicyCounts())
    counts.failures[failure] = counts.failed = 1
    self._write(day)


@pytest.mark.parametrize("understates", [False, True])
async def test_fewer_failures_than_hosts_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, understates: bool
) -> None:
    if understates:
        monkeypatch.setattr(ReportCounts, "failed", counts_once)
    played = await Arena(tmp_path).play(cases_of(CASE))
    assert played.grade(CASE) == ("info" if understates else "pass"), played.reasons(CASE)
    assert ("failures-differ" in played.reasons(CASE)) is understates
