"""Known deviations: what a file may say, and what becomes of what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.judge.deviations import Deviation, DeviationsError, read_deviations, settle_accounts
from lab.model import Grade, Judgement, Verdict

ENTRY = """
[[deviation]]
case = {case}
obligation = "STS-5-04"
result = "weak"
codes = ["failure-not-reported"]
reason = "It has no policy."
evidence = "The report."
"""


def read(path: Path, text: str) -> tuple[Deviation, ...]:
    (path / "known-deviations.toml").write_text(text)
    return read_deviations(path / "known-deviations.toml")


def weak(case: str, reason: str = "failure-not-reported") -> Verdict:
    judgement = Judgement("the-target-reports", Grade.WEAK, reason, obligation="STS-5-04")
    return Verdict(case, Grade.WEAK, (), (judgement,), 0.0, 1.0)


def test_one_cause_has_one_entry_for_all_its_cases(tmp_path: Path) -> None:
    found = read(tmp_path, ENTRY.format(case='["a/x[testing]", "a/y[testing]"]') + ENTRY.format(case='"b/*"'))
    assert [deviation.case for deviation in found] == ["a/x[testing]", "a/y[testing]", "b/*"]
    assert {(one.obligation, one.codes, one.reason) for one in found} == {
        ("STS-5-04", ("failure-not-reported",), "It has no policy.")
    }


def test_each_of_its_cases_has_to_occur(tmp_path: Path) -> None:
    known = read(tmp_path, ENTRY.format(case='["a/x[testing]", "a/y[testing]", "a/z[testing]"]'))
    passed = Verdict("a/y[testing]", Grade.PASS, (), (), 0.0, 1.0)
    found = settle_accounts([weak("a/x[testing]"), passed], known, ["a/x[testing]", "a/y[testing]"])
    assert found.known == {"a/x[testing]": ("It has no policy.",)}
    assert [deviation.case for deviation in found.vanished] == ["a/y[testing]"]
    assert [deviation.case for deviation in found.unmatched] == ["a/z[testing]"]


def test_another_reason_is_news(tmp_path: Path) -> None:
    known = read(tmp_path, ENTRY.format(case='["a/x[testing]"]'))
    assert settle_accounts([weak("a/x[testing]", "no-report")], known, ["a/x[testing]"]).known == {}


def test_a_case_that_was_played_in_part_is_known_for_what_it_shows_and_hides_nothing_else(tmp_path: Path) -> None:
    """chasquid has no clock to be moved: its case about max_age ends in the middle, with a finding before that."""
    known = read(
        tmp_path, ENTRY.format(case='"a/x[testing]"') + ENTRY.format(case='"*"').replace("STS-5-04", "STS-5-03")
    )
    lacking = Judgement("the-target-offers-what-the-case-needs", Grade.UNSUPPORTED, "not-offered", step="lapse")
    whole = weak("a/x[testing]")
    found = settle_accounts([replace(whole, judgements=(*whole.judgements, lacking))], known, ["a/x[testing]"])
    assert found.known == {"a/x[testing]": ("It has no policy.",)}
    assert found.vanished == ()
    news = replace(
        weak("a/x[testing]", "no-report"), judgements=(*weak("a/x[testing]", "no-report").judgements, lacking)
    )
    assert settle_accounts([news], known, ["a/x[testing]"]).known == {}


class TestPattern:
    """A pattern speaks for every case that it fits."""

    IDS = ("b/x[enforce]", "b/y[enforce]", "b/z[enforce]")

    def test_a_case_that_no_longer_shows_it_is_named(self, tmp_path: Path) -> None:
        known = read(tmp_path, ENTRY.format(case='"b/*"'))
        passed = Verdict("b/y[enforce]", Grade.PASS, (), (), 0.0, 1.0)
        found = settle_accounts([weak("b/x[enforce]"), passed], known, self.IDS)
        assert found.known == {"b/x[enforce]": ("It has no policy.",)}
        assert [deviation.case for deviation in found.vanished] == ["b/y[enforce]"]
        assert found.unmatched == ()

    def test_a_case_that_shows_something_else_is_named(self, tmp_path: Path) -> None:
        known = read(tmp_path, ENTRY.format(case='"b/*"'))
        found = settle_accounts([weak("b/x[enforce]"), weak("b/y[enforce]", "no-report")], known, self.IDS)
        assert list(found.known) == ["b/x[enforce]"]
        assert [deviation.case for deviation in found.vanished] == ["b/y[enforce]"]

    @pytest.mark.parametrize("grade", [Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.UNSUPPORTED])
    def test_a_case_without_a_result_says_nothing(self, tmp_path: Path, grade: Grade) -> None:
        known = read(tmp_path, ENTRY.format(case='"b/*"'))
        unclear = Verdict("b/y[enforce]", grade, (), (), 0.0, 1.0)
        assert settle_accounts([weak("b/x[enforce]"), unclear], known, self.IDS).vanished == ()

    def test_entries_that_overlap_all_occur(self, tmp_path: Path) -> None:
        narrow = ENTRY.format(case='"b/x[enforce]"').replace("It has no policy.", "Only here.")
        for text in (narrow + ENTRY.format(case='"b/*"'), ENTRY.format(case='"b/*"') + narrow):
            found = settle_accounts([weak("b/x[enforce]")], read(tmp_path, text), self.IDS)
            assert set(found.known["b/x[enforce]"]) == {"Only here.", "It has no policy."}
            assert found.vanished == ()


@pytest.mark.parametrize("case", ["7", '["a", 7]', "{a = 1}"])
def test_a_case_is_a_pattern_or_several(tmp_path: Path, case: str) -> None:
    with pytest.raises(DeviationsError, match=r"known-deviations\.toml: Expected"):
        read(tmp_path, ENTRY.format(case=case))
