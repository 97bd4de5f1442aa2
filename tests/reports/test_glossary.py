"""Each special word of the output comes with its explanation where it is printed."""

from dataclasses import replace
from pathlib import PurePath

import pytest
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Harm
from mta_sts_lab.reports.glossary import COVERAGE, GRADES, HARMS, LEVELS, level_phrase, levels_explained
from mta_sts_lab.reports.summary import summarise
from mta_sts_lab.reports.tables import requirement_page, requirements_table, scenario_page
from mta_sts_lab.reports.terminal import Evidence, finding_block, summary_page
from mta_sts_lab.requirements import load_requirements

from .records import REQUIREMENTS, SCENARIO, rendered, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)
_SPECIAL_LEVELS = [level for level in LEVELS if level == "DEFN" or level.startswith("lc-")]


def _words(shown: str) -> str:
    return " ".join(shown.split())


def test_every_grade_harm_and_level_has_an_explanation() -> None:
    assert set(GRADES) == set(Grade)
    assert set(HARMS) == set(Harm) - {Harm.NONE}
    assert {requirement.level for requirement in load_requirements().values()} <= set(LEVELS)


@pytest.mark.parametrize("grade", list(Grade))
def test_the_summary_explains_every_grade_that_it_counts(grade: Grade) -> None:
    shown = _words(rendered(summary_page(summarise(_RECORD, [replace(_VERDICTS[0], grade=grade)]))))
    assert f"1 {grade.value}" in shown
    assert f"{grade.value}: {GRADES[grade]}." in shown


@pytest.mark.parametrize("harm", list(HARMS))
def test_the_summary_explains_what_became_of_mail(harm: Harm) -> None:
    verdict = replace(_VERDICTS[0], judgements=(replace(_VERDICTS[0].judgements[0], harm=harm),))
    shown = _words(rendered(summary_page(summarise(_RECORD, [verdict]))))
    name, meaning = HARMS[harm]
    assert f"{name}: {meaning}." in shown


@pytest.mark.parametrize("level", _SPECIAL_LEVELS)
def test_a_level_that_is_no_key_word_is_explained_wherever_it_stands(level: str) -> None:
    requirement = replace(REQUIREMENTS["STS-5-03"], level=level)
    requirements = {"STS-5-03": requirement}
    explanation = f"{level}: {LEVELS[level]}"
    assert level_phrase(level) == explanation
    block = finding_block(_VERDICTS[0], Evidence.of(_RECORD, PurePath("runs/x")), requirements)
    assert explanation in _words(rendered(block))
    assert explanation in _words(rendered(scenario_page(replace(SCENARIO, requirements=("STS-5-03",)), requirements)))
    assert f"{level} {LEVELS[level]}" in _words(rendered(requirements_table([requirement])))
    assert f"{level}; {LEVELS[level]}" in _words(rendered(requirement_page(requirement, [])))


@pytest.mark.parametrize("level", LEVELS)
def test_the_listing_says_how_breaking_a_level_is_graded(level: str) -> None:
    requirement = Requirement("X-1", "8461", "5", level, "sender", "text", "covered")
    assert levels_explained([level])[level].endswith(f"; if broken: {requirement.grade_when_broken.value}")


def test_the_listing_explains_its_columns() -> None:
    shown = _words(rendered(requirements_table(REQUIREMENTS.values())))
    for name, meaning in COVERAGE.values():
        assert f"{name} {meaning}" in shown
