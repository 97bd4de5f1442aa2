"""The scenario files themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mta_sts_lab.attacks.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import Catalogue, load_catalogue
from mta_sts_lab.model import Case, Mode, Scenario
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import load_requirements

from tests.catalogue.forms import FORMS

DIRECTORY = Path(__file__).parents[2] / "scenarios"

#: Cases may be added; whoever takes one away has to say so here.
FEWEST_CASES = 150
MOST_CASES = 400

CATALOGUE = load_catalogue(DIRECTORY, ATTACK_FORMS, load_requirements(), FLAWS)

every_scenario = pytest.mark.parametrize("scenario", CATALOGUE.scenarios, ids=lambda scenario: scenario.id)


def _catalogue() -> Catalogue:
    return CATALOGUE


def test_the_catalogue_is_whole() -> None:
    assert FEWEST_CASES <= len(_catalogue().cases) <= MOST_CASES
    assert sum(len(scenario.cases) for scenario in _catalogue().scenarios) == len(_catalogue().cases)


def test_titles_are_unique() -> None:
    titles = [scenario.title for scenario in _catalogue().scenarios]
    assert len(set(titles)) == len(titles)


def test_every_attack_is_used_by_a_scenario() -> None:
    used = {use.name for case in _catalogue().cases.values() for step in case.steps for use in step.attacks}
    assert used == set(ATTACK_FORMS)


def test_the_attacks_are_those_that_the_catalogue_was_tested_with() -> None:
    def said(forms: object) -> object:
        assert isinstance(forms, dict)
        return {name: (form.channel, dict(form.parameters)) for name, form in forms.items()}

    assert said(dict(ATTACK_FORMS)) == said(FORMS)


@every_scenario
def test_a_scenario_with_an_attack_or_a_fault_has_a_control_arm_for_every_case(scenario: Scenario) -> None:
    for case in scenario.cases:
        # Where nobody interferes, as in most scenarios about reports, there is nothing to measure.
        unharmed = case.needs and not any(step.attacks for step in case.steps)
        if case.mode is not Mode.ABSENT and not unharmed:
            control = _catalogue().cases[case.control]
            assert (control.mode, control.vector) == (Mode.ABSENT, case.vector)
            assert [step.name for step in control.steps] == [step.name for step in case.steps]


@every_scenario
def test_every_case_expects_something(scenario: Scenario) -> None:
    for case in scenario.cases:
        assert any(step.expect for step in case.steps), case.id


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
def test_what_may_be_held_gets_a_chance_to_arrive(scenario: Scenario) -> None:
    for case in scenario.cases:
        assert case.steps[-1].recovers, case.id


def _judged(case: Case) -> set[str]:
    return {step.expect.obligation for step in case.steps if step.expect}


def test_each_obligation_of_the_families_is_judged_somewhere() -> None:
    judged = {obligation for case in _catalogue().cases.values() for obligation in _judged(case)}
    assert judged >= {
        "STS-3.1-05",
        "STS-3.1-11",
        "STS-3.1-13",
        "STS-3.2-09",
        "STS-3.2-16",
        "STS-3.3-01",
        "STS-3.3-02",
        "STS-3.3-03",
        "STS-3.3-08",
        "STS-3.3-09",
        "STS-3.3-15",
        "STS-3.3-16",
        "STS-4-01",
        "STS-4-02",
        "STS-4.1-02",
        "STS-4.2-01",
        "STS-4.2-02",
        "STS-4.2-03",
        "STS-5-03",
        "STS-5-05",
        "STS-5-06",
        "STS-5.1-03",
        "STS-7.1-03",
        "STS-8.3-01",
        "STLS-6-06",
        "BCP-3.1.1-01",
        "ID-A-01",
    }
