"""No finding counts for more than the level of the obligation whose text was broken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mta_sts_lab.model.case import Expectation
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement

from .stories import ABSENT, CASES, ENFORCE, above_its_level, changed, record, resisted, taken_in, verdict


@pytest.mark.parametrize(
    ("obligation", "grade", "above"),
    [
        ("STS-5-03", Grade.FAIL, False),
        ("STS-5-08", Grade.FAIL, True),
        ("STS-5-08", Grade.WEAK, False),
        ("STS-5-05", Grade.WEAK, False),
        ("STS-5-05", Grade.FAIL, True),
        ("STS-5-08", Grade.INCONCLUSIVE, False),
        ("", Grade.FAIL, False),
    ],
)
def test_the_level_bounds_the_grade(obligation: str, grade: Grade, above: bool) -> None:
    """The stories of the judge's tests all ask this of each of their verdicts."""
    assert above_its_level(Judgement(grade, "a-reason", obligation)) is above


@pytest.mark.parametrize(
    ("obligation", "named", "grade"),
    [
        ("STS-5-03", None, Grade.FAIL),
        ("STS-5-03", Grade.WEAK, Grade.WEAK),
        ("STS-5-08", None, Grade.WEAK),
        ("STS-5-08", Grade.FAIL, Grade.WEAK),
    ],
)
def test_a_scenario_lowers_the_grade_and_never_raises_it(obligation: str, named: Grade | None, grade: Grade) -> None:
    expect = Expectation(("delivered",), obligation, grade=named)
    control = replace(CASES[ABSENT], steps=changed(CASES[ABSENT], "attack", expect=expect).steps)
    case = changed(CASES[ENFORCE], "attack", expect=expect)
    found = verdict(record(resisted(), taken_in(), cases=(case, control)))
    (outcome,) = [one for one in found.judgements if one.check == "message-outcome"]
    assert (outcome.grade, outcome.obligation) == (grade, obligation)
