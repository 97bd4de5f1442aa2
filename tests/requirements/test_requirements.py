from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.requirements import STATUSES_WITH_REASON, RequirementError, load_requirements, near_misses

ROWS_OF_RFC = {
    "8461": 97,
    "8460": 100,
    "7672": 75,
    "6698": 6,
    "7671": 9,
    "8689": 38,
    "3207": 17,
    "9525": 14,
    "6125": 6,
    "7817": 4,
    "5321": 17,
    "6066": 4,
    "5280": 8,
    "9325": 9,
    "6522": 2,
    "6376": 3,
    "7493": 3,
    "3339": 1,
    "3464": 1,
    "9112": 1,
}

ROW = """
[[requirement]]
id = "STS-5-01"
section = "5"
level = "MUST NOT"
binds = "sender"
text = "The sender does not."
status = "not-yet"
"""


def _file(directory: Path, content: str, name: str = "rfc8461.toml") -> Path:
    (directory / name).write_text(f'rfc = "8461"\ntitle = "A title"\n{content}', encoding="utf-8")
    return directory


def test_every_row_of_every_rfc_is_there() -> None:
    requirements = load_requirements()
    assert len(requirements) == 415
    assert Counter(row.rfc for row in requirements.values()) == ROWS_OF_RFC


def test_the_levels_decide_the_grade() -> None:
    requirements = load_requirements()
    assert requirements["STS-5-03"].grade_when_broken is Grade.FAIL
    assert requirements["STS-5-08"].grade_when_broken is Grade.WEAK
    assert requirements["STS-3-01"].grade_when_broken is Grade.INFO


def test_a_row_that_is_left_out_says_why() -> None:
    left_out = [row for row in load_requirements().values() if row.status in STATUSES_WITH_REASON]
    assert left_out
    assert all(len(row.reason) > 20 for row in left_out)


def test_an_id_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    _file(tmp_path, ROW)
    _file(tmp_path, ROW, "rfc9999.toml")
    with pytest.raises(RequirementError, match=r"rfc9999\.toml: STS-5-01 is already defined"):
        load_requirements(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (ROW.replace("MUST NOT", "SHALL"), "SHALL"),
        (ROW.replace("not-yet", "perhaps"), "perhaps"),
        (ROW.replace("not-yet", "out-of-scope"), "a reason is missing"),
        (f'{ROW}reason = "Because."\n', "nobody reads a reason there"),
        (ROW.replace('binds = "sender"', 'bindes = "sender"'), "bindes"),
        (ROW.replace('section = "5"', "section = 5"), "Expected `str`"),
        ("[[requirement]", "rfc8461.toml"),
    ],
)
def test_a_row_out_of_shape_is_refused(tmp_path: Path, wrong: str, message: str) -> None:
    with pytest.raises(RequirementError, match=message):
        load_requirements(_file(tmp_path, wrong))


def test_an_empty_directory_is_not_an_empty_success(tmp_path: Path) -> None:
    with pytest.raises(RequirementError, match="no requirements"):
        load_requirements(tmp_path)


def test_near_misses_are_near() -> None:
    assert near_misses("sts-5-3", load_requirements())[0] == "STS-5-03"
    assert near_misses("strip_startls", ["strip_starttls", "forge_mx"]) == ("strip_starttls",)
    assert near_misses("xyz", ["strip_starttls", "forge_mx"]) == ()
