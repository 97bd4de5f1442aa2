"""No finding counts for more than the level of the obligation whose text was broken."""

from __future__ import annotations

import pytest
from mta_sts_lab.model import Grade, Judgement

from .stories import above_its_level


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
