from __future__ import annotations

import re

import pytest
from mta_sts_lab.reference.flaws import FLAWS, NO_FLAWS, UnknownFlaw, parse_flaws


def test_a_correct_sender_has_no_flaw() -> None:
    assert not any(getattr(NO_FLAWS, name) for name in FLAWS)


def test_every_flaw_names_one_obligation_and_says_what_goes_wrong() -> None:
    for flaw in FLAWS.values():
        assert re.fullmatch(r"[A-Z]+-[0-9A-Z.]+-[0-9]+", flaw.obligation), flaw
        assert len(flaw.text) > 20


def test_names_switch_exactly_those_flaws() -> None:
    flaws = parse_flaws(["ignores_policy", " no_fail_over ", ""])
    assert [name for name in FLAWS if getattr(flaws, name)] == ["ignores_policy", "no_fail_over"]


def test_an_unknown_name_is_refused_with_near_misses() -> None:
    with pytest.raises(UnknownFlaw, match="'ignore_policy'; did you mean ignores_policy"):
        parse_flaws(["ignore_policy"])
    with pytest.raises(UnknownFlaw, match=r"there are [0-9]+, such as accepts_"):
        parse_flaws(["xyzzyx"])
