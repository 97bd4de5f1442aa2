"""The kill matrix: every flaw is found, and a correct sender passes.

The correct sender passes everything. Every flaw is found by the scenarios that say so (`kills`), for the very obligation
that the flaw breaks. Every scenario finds a flaw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.in_process import InProcess
from mta_sts_lab.backends.registry import register
from mta_sts_lab.events import DeadlinePassed, DnsAnswered, Event, LabFailed, TargetFailed
from mta_sts_lab.model.case import Scenario
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.reference.flaws import FLAWS, Flaw
from mta_sts_lab.reference.settings import IN_PROCESS
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import RunResult, load_shipped_catalogue
from mta_sts_lab.runs.jobs import processors
from mta_sts_lab.timeouts import LEARN_POLICY_IN_PROCESS

from tests.playing import play
from tests.reports.closing_words import untrue_words

CATALOGUE = load_shipped_catalogue()
REQUIREMENTS = load_requirements()

#: Where nobody may ask for the policy it is waited for in vain: that is the point of these scenarios.
WAITED_FOR_IN_VAIN = (
    "discovery/other-version",
    "discovery/parent-policy",
    "discovery/record-elsewhere",
    "discovery/record-invalid",
    "discovery/record-malformed",
    "discovery/two-records",
)

every_flaw = pytest.mark.parametrize("flaw", FLAWS.values(), ids=lambda flaw: flaw.name)


def _killers(flaw: Flaw) -> list[Scenario]:
    return [scenario for scenario in CATALOGUE.scenarios if flaw.name in scenario.kills]


def _kills(verdict: Verdict, flaw: Flaw) -> bool:
    """Whether a verdict finds a flaw: its own obligation, in the grade of that obligation, and against the target.

    What stayed unproved, or went wrong in the lab, finds nothing.
    """
    grades = _finding_grades(REQUIREMENTS[flaw.obligation])
    return not verdict.control_only and any(
        judgement.obligation == flaw.obligation and judgement.grade in grades for judgement in verdict.judgements
    )


def _finding_grades(requirement: Requirement) -> set[Grade]:
    """An expectation may override how much its obligation counts, but nothing turns a mere note into a finding."""
    noted = requirement.grade_when_broken is Grade.INFO
    return {Grade.FAIL, Grade.WEAK} | ({Grade.INFO} if noted else set())


def _told(verdicts: Iterable[Verdict]) -> str:
    """Say what was found instead, for the message of a failed assertion."""
    return "\n".join(
        f"{verdict.case}: {judgement.grade.value} {judgement.obligation or '-'} {judgement.reason} ({judgement.observed})"
        for verdict in verdicts
        for judgement in verdict.judgements
        if judgement.grade is not Grade.PASS
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The whole catalogue, played once against the correct sender, with as many processes as there are processors."""
    return play(CATALOGUE, tuple(CATALOGUE.cases.values()), tmp_path_factory.mktemp("whole"), jobs=processors())


@pytest.mark.alone
@pytest.mark.timeout(400)  # a busy machine needs more than the two minutes of any other test
def test_the_correct_sender_passes_everything(whole: RunResult) -> None:
    played = whole
    assert {verdict.case for verdict in played.verdicts} == set(CATALOGUE.cases)
    not_passed = [verdict for verdict in played.verdicts if verdict.grade is not Grade.PASS]
    assert [verdict.case for verdict in not_passed] == [], _told(not_passed)
    assert [(verdict.case, verdict.of_the_run) for verdict in played.verdicts if verdict.of_the_run] == []
    trouble = DeadlinePassed | LabFailed | TargetFailed
    waits = [event for event in played.record.events if isinstance(event.fact, trouble)]
    assert [event for event in waits if event.case.partition("[")[0] not in WAITED_FOR_IN_VAIN] == []
    assert played.record.footer.complete


@pytest.mark.alone
@pytest.mark.timeout(400)
def test_the_words_that_close_a_demonstration_are_true_in_each_case(whole: RunResult) -> None:
    assert untrue_words(whole.record, whole.verdicts) == []


@every_flaw
def test_a_flaw_is_killed_for_its_own_obligation(flaw: Flaw, tmp_path: Path) -> None:
    killers = _killers(flaw)
    assert killers, f"no scenario says that it kills {flaw.name}: it breaks {flaw.obligation}"
    cases = [case for scenario in killers for case in scenario.cases]
    played = play(CATALOGUE, cases, tmp_path, [flaw.name])
    scenario_of = {case.id: case.scenario for case in cases}
    killed = {scenario_of[verdict.case] for verdict in played.verdicts if _kills(verdict, flaw)}
    assert {scenario.id for scenario in killers} - killed == set(), _told(played.verdicts)
    assert _trouble(played) == []
    assert untrue_words(played.record, played.verdicts) == [], "the closing words of a demonstration"


def _trouble(played: RunResult) -> list[Event]:
    """Return what must not happen under a flaw either: that a message of its own never settles, or the lab fails.

    A policy that nobody fetches is waited for in vain: some flaws are just that.
    """
    return [
        event
        for event in played.record.events
        if isinstance(event.fact, LabFailed | TargetFailed)
        or (isinstance(event.fact, DeadlinePassed) and event.fact.deadline != LEARN_POLICY_IN_PROCESS.name)
    ]


@every_flaw
def test_a_flaw_breaks_an_obligation_that_a_scenario_which_kills_it_is_about(flaw: Flaw) -> None:
    assert flaw.obligation in REQUIREMENTS
    assert REQUIREMENTS[flaw.obligation].status == "covered"
    for scenario in _killers(flaw):
        assert flaw.obligation in scenario.requirements, scenario.id


@pytest.mark.parametrize("scenario", ["certificate/sni-required", "certificate/swapped-wrong-name"])
def test_a_wrong_certificate_that_is_reported_as_success_fails_under_testing(tmp_path: Path, scenario: str) -> None:
    """It is the same failure, whether the attacker shows the certificate or a sender that names no host asks for it."""
    (case,) = CATALOGUE.find([f"{scenario}[testing]"])
    flaws = ["sends_no_server_name", "counts_failures_as_successes"]
    (verdict,) = (one for one in play(CATALOGUE, [case], tmp_path, flaws).verdicts if one.case == case.id)
    found = {(one.obligation, one.reason) for one in verdict.judgements if one.grade is Grade.FAIL}
    assert ("RPT-4.2.2-01", "failures-untrue") in found, _told([verdict])


@pytest.mark.parametrize("flaws", [["retries_reports_at_even_pauses"], []], ids=["even", "growing"])
def test_pauses_too_wide_to_be_told_are_no_pass(
    tmp_path: Path, request: pytest.FixtureRequest, flaws: list[str]
) -> None:
    """The case watches for twenty minutes: in that time pauses that begin with 500 s look alike, even or growing."""
    wide = replace(IN_PROCESS, retry_seconds=500.0)
    register(InProcess(settings=wide))
    request.addfinalizer(lambda: register(InProcess()))
    (case,) = CATALOGUE.find(["rpt-mail/pauses-grow[enforce]"])
    played = play(CATALOGUE, [case], tmp_path, flaws)
    # Beside it is the case that shows whether the clock moves.
    (verdict,) = (one for one in played.verdicts if one.case == case.id)
    assert verdict.grade is Grade.INCONCLUSIVE, _told([verdict])
    assert "too-few-attempts" in {judgement.reason for judgement in verdict.judgements}


def test_who_wants_mx_records_shows_nothing_about_a_domain_that_has_none(tmp_path: Path) -> None:
    """Its mail waits, and would without any policy."""
    cases = CATALOGUE.find(["mx/no-mx-record-unlisted[enforce]"])
    played = play(CATALOGUE, cases, tmp_path, ["demands_mx_records"])
    (verdict,) = (one for one in played.verdicts if one.case == cases[0].id)
    assert verdict.grade is Grade.INCONCLUSIVE, _told(played.verdicts)


def test_under_dane_the_record_below_the_mail_host_serves_as_well(tmp_path: Path) -> None:
    """Two readings of RFC 8460 are both right: docs/ambiguities.md#report-record-under-dane."""
    cases = CATALOGUE.find(["rpt-schema/policy-tlsa", "rpt-content/dane-failures"])
    played = play(CATALOGUE, cases, tmp_path, ["asks_for_reports_at_the_mx"])
    asked = [event.fact.name for event in played.record.events if isinstance(event.fact, DnsAnswered)]
    assert any(name.startswith("_smtp._tls.mx1.") for name in asked)
    assert {verdict.grade for verdict in played.verdicts} == {Grade.PASS}, _told(played.verdicts)
