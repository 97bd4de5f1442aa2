"""The kill matrix: every flaw is found, and a correct sender passes.

The correct sender passes everything. Every flaw is found by the scenarios that say so (`kills`), for the very obligation
that the flaw breaks. Every scenario finds a flaw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.in_process import InProcess
from mta_sts_lab.backends.registry import register
from mta_sts_lab.events import DeadlinePassed, DnsAnswered, Event, LabFailed, TargetFailed
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.reference.flaws import FLAWS, Flaw
from mta_sts_lab.reference.settings import IN_PROCESS
from mta_sts_lab.runs import RunResult
from mta_sts_lab.runs.sharding import divide
from mta_sts_lab.timeouts import LEARN_POLICY_IN_PROCESS

from tests.killing_cases import CATALOGUE, REQUIREMENTS, killers, kills, known_killing_cases
from tests.playing import play
from tests.reports.closing_words import untrue_words

#: Where nobody may ask for the policy it is waited for in vain: that is the point of these scenarios.
WAITED_FOR_IN_VAIN = (
    "discovery/other-version",
    "discovery/parent-policy",
    "discovery/record-elsewhere",
    "discovery/record-invalid",
    "discovery/record-malformed",
    "discovery/two-records",
    "discovery/two-records-one-invalid",
)

every_flaw = pytest.mark.parametrize("flaw", FLAWS.values(), ids=lambda flaw: flaw.name)


def _told(verdicts: Iterable[Verdict]) -> str:
    """Say what was found instead, for the message of a failed assertion."""
    return "\n".join(
        f"{verdict.case}: {judgement.grade.value} {judgement.obligation or '-'} {judgement.reason} ({judgement.observed})"
        for verdict in verdicts
        for judgement in verdict.judgements
        if judgement.grade is not Grade.PASS
    )


#: The whole catalogue is played in so many parts, beside other tests: a part takes eleven seconds of processor time.
PARTS = 8


@pytest.fixture(
    scope="module",
    params=[pytest.param(number, marks=pytest.mark.xdist_group(f"part {number + 1}")) for number in range(PARTS)],
    ids=lambda number: f"part {number + 1} of {PARTS}",
)
def part(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A part of the whole catalogue, played once against the correct sender."""
    cases = divide(tuple(CATALOGUE.cases.values()), PARTS)[request.param]
    played = play(CATALOGUE, cases, tmp_path_factory.mktemp("part"))
    assert {case.id for case in cases} <= {verdict.case for verdict in played.verdicts}
    return played


def test_the_parts_are_the_whole_catalogue() -> None:
    parts = divide(tuple(CATALOGUE.cases.values()), PARTS)
    assert sorted(case.id for cases in parts for case in cases) == sorted(CATALOGUE.cases)


def test_the_correct_sender_passes_everything(part: RunResult) -> None:
    not_passed = [verdict for verdict in part.verdicts if verdict.grade is not Grade.PASS]
    assert [verdict.case for verdict in not_passed] == [], _told(not_passed)
    assert [(verdict.case, verdict.of_the_run) for verdict in part.verdicts if verdict.of_the_run] == []
    trouble = DeadlinePassed | LabFailed | TargetFailed
    waits = [event for event in part.record.events if isinstance(event.fact, trouble)]
    assert [event for event in waits if event.case.partition("[")[0] not in WAITED_FOR_IN_VAIN] == []
    assert part.record.footer.complete


def test_the_words_that_close_a_demonstration_are_true_in_each_case(part: RunResult) -> None:
    assert untrue_words(part.record, part.verdicts) == []


@every_flaw
def test_a_flaw_is_killed_for_its_own_obligation(flaw: Flaw, tmp_path: Path) -> None:
    """The cases that are known to find the flaw are played, and all of the scenarios in which they no longer do."""
    wanted = {scenario.id: scenario for scenario in killers(flaw)}
    assert wanted, f"no scenario says that it kills {flaw.name}: it breaks {flaw.obligation}"
    known = known_killing_cases().get(flaw.name, {})
    killed = _killed([CATALOGUE.cases[case] for case in known.values() if case in CATALOGUE.cases], flaw, tmp_path)
    rest = [case for scenario in wanted.values() if scenario.id not in killed for case in scenario.cases]
    assert wanted.keys() - killed - _killed(rest, flaw, tmp_path) == set()


@pytest.mark.thorough
@every_flaw
def test_all_cases_of_the_scenarios_that_kill_a_flaw_are_judged_truly(flaw: Flaw, tmp_path: Path) -> None:
    """Beside the known ones: that no other case is troubled by the flaw, or closes with an untrue word."""
    wanted = {scenario.id: scenario for scenario in killers(flaw)}
    cases = [case for scenario in wanted.values() for case in scenario.cases]
    assert wanted.keys() - _killed(cases, flaw, tmp_path) == set()


def _killed(cases: Sequence[Case], flaw: Flaw, folder: Path) -> set[str]:
    """Play cases against a sender with a flaw, and return the scenarios that find it."""
    if not cases:
        return set()
    played = play(CATALOGUE, cases, folder, [flaw.name])
    assert _trouble(played) == []
    assert untrue_words(played.record, played.verdicts) == [], "the closing words of a demonstration"
    found = {CATALOGUE.cases[verdict.case].scenario for verdict in played.verdicts if kills(verdict, flaw)}
    if missed := {case.scenario for case in cases} - found:
        print(f"{', '.join(sorted(missed))} did not find it:\n{_told(played.verdicts)}")
    return found


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
    for scenario in killers(flaw):
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
