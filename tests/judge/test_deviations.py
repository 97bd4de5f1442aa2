"""Known deviations: what a file may say, and what becomes of what it says."""

from __future__ import annotations

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


@pytest.mark.parametrize("case", ["7", '["a", 7]', "{a = 1}"])
def test_a_case_is_a_pattern_or_several(tmp_path: Path, case: str) -> None:
    with pytest.raises(DeviationsError, match=r"known-deviations\.toml: Expected"):
        read(tmp_path, ENTRY.format(case=case))
