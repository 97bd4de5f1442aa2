"""A reporter may use one channel alone (RFC 8460, section 5): it is judged as fairly as one that uses both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.in_process import InProcess
from mta_sts_lab.backends.registry import register
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.target import ReportChannel
from mta_sts_lab.model.world import Reports
from mta_sts_lab.reference.settings import IN_PROCESS
from mta_sts_lab.rfc.published import wanted_places
from mta_sts_lab.runs import load_shipped_catalogue

from tests.playing import play

CATALOGUE = load_shipped_catalogue()

#: What asks for reports over both channels, what asks over one, and what must not be asked at all.
CASES = CATALOGUE.find(
    [
        "starttls/strip*",
        "rpt-content/heartbeat*",
        "rpt-dns/not-wanted*",
        "rpt-dns/wanted*",
        "rpt-https/posted*",
        "rpt-mail/structure*",
    ]
)

only = pytest.mark.parametrize("channel", ["https", "mailto"])


@pytest.fixture
def one_channel(channel: ReportChannel) -> Iterator[ReportChannel]:
    register(InProcess(settings=replace(IN_PROCESS, report_channels=(channel,))))
    yield channel
    register(InProcess())


def _asks_over(channel: ReportChannel, reports: Reports) -> bool:
    places = wanted_places("c0ffee.example", reports)
    return not places or any((channel == "https") == place.startswith("https://") for place in places)


@only
def test_it_passes_what_it_can_be_asked_and_the_rest_is_noted(one_channel: ReportChannel, tmp_path: Path) -> None:
    found = {verdict.case: verdict for verdict in play(CATALOGUE, CASES, tmp_path).verdicts}
    asked = {case.id: all(_asks_over(one_channel, step.world.reports) for step in case.steps) for case in CASES}
    judged = [case for case in CASES if case.judges_reports]
    assert {asked[case.id] for case in judged} == {True, False}
    for case in judged:
        assert found[case.id].grade is (Grade.PASS if asked[case.id] else Grade.INFO), found[case.id]


@only
def test_who_reports_to_nobody_who_asked_is_found(one_channel: ReportChannel, tmp_path: Path) -> None:
    cases = CATALOGUE.find(["rpt-dns/not-wanted[enforce,two-records]"])
    (verdict,) = play(CATALOGUE, cases, tmp_path, ["reports_to_two_records"]).verdicts
    assert (verdict.grade, verdict.case) == (Grade.FAIL, "rpt-dns/not-wanted[enforce,two-records]")
