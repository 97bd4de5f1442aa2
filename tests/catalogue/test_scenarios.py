"""The scenario files themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import load_catalogue
from mta_sts_lab.model.case import Mode, Scenario
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import load_requirements

DIRECTORY = Path(__file__).parents[2] / "scenarios"

CATALOGUE = load_catalogue(DIRECTORY, ATTACK_FORMS, load_requirements(), FLAWS)

every_scenario = pytest.mark.parametrize("scenario", CATALOGUE.scenarios, ids=lambda scenario: scenario.id)


def test_titles_are_unique() -> None:
    titles = [scenario.title for scenario in CATALOGUE.scenarios]
    assert len(set(titles)) == len(titles)


def test_every_attack_is_used_by_a_scenario() -> None:
    used = {use.name for case in CATALOGUE.cases.values() for step in case.steps for use in step.attacks}
    assert used == set(ATTACK_FORMS)


@every_scenario
def test_a_scenario_with_an_attack_or_a_fault_has_a_control_case_for_every_case(scenario: Scenario) -> None:
    for case in scenario.cases:
        # Where nobody interferes, as in most scenarios about reports, there is nothing to measure.
        unharmed = case.needs and not any(step.attacks for step in case.steps)
        if case.mode is not Mode.ABSENT and not unharmed:
            control = CATALOGUE.cases[case.control]
            assert control.mode is Mode.ABSENT
            assert [step.name for step in control.steps] == [step.name for step in case.steps]


@every_scenario
def test_a_story_is_told_in_two_to_five_sentences(scenario: Scenario) -> None:
    assert 2 <= len(re.findall(r"[.!?]['\"]?(?:\s|$)", scenario.story)) <= 5
    assert len(scenario.effect) > 20


@every_scenario
def test_the_first_contact_is_honest_and_not_judged_beyond_delivery(scenario: Scenario) -> None:
    """RFC 8461, section 5.1, lets the first message leave before the policy is known."""
    for case in scenario.cases:
        first = case.steps[0]
        assert first.send, case.id
        assert not [use for use in first.attacks if use.channel != "https"], case.id
        assert first.expect is None or first.expect.outcome == ("delivered",), case.id


@every_scenario
def test_mail_kept_back_under_testing_has_one_grade_in_every_case(scenario: Scenario) -> None:
    expected = [step.expect for case in scenario.cases for step in case.steps if step.expect]
    as_absent = [expect for expect in expected if "as-absent" in expect.outcome]
    assert {expect.grade for expect in as_absent if expect.obligation == "STS-5-05"} <= {Grade.WEAK}
