"""The catalogue under new names, and the figures as ratios."""

from __future__ import annotations

from pathlib import Path

from mta_sts_lab.bench.process import Took
from mta_sts_lab.bench.scale import Baseline, ScaleCost, renamed, repeat_scenarios
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.runs.scenarios import load_scenarios
from mta_sts_lab.shipped_files import shipped_files


def test_a_catalogue_that_is_repeated_has_each_case_as_often_with_its_own_control_case(tmp_path: Path) -> None:
    repeat_scenarios(shipped_files() / "scenarios", tmp_path, 2)
    repeated, shipped = load_scenarios(tmp_path), load_shipped_catalogue()
    assert repeated.problems == ()
    assert len(repeated.cases) == 2 * len(shipped.cases)
    assert repeated.cases.keys() == {renamed(case, number) for case in shipped.cases for number in (1, 2)}
    case = repeated.cases["starttls/strip-2[enforce]"]
    assert case.control == "starttls/strip-2[absent]"
    assert case.steps == shipped.cases["starttls/strip[enforce]"].steps


def test_the_figures_are_beside_the_baseline() -> None:
    cost = ScaleCost(2_000, Took(wall=60.0, cpu=80.0, memory=409_600.0), {"pass": 1_999, "inconclusive": 1})
    assert cost.line(Baseline(delivery=0.02, calculation=0.8)) == (
        "2000 cases in process: 60 s, 80 s of processor time, 400 MiB; a case 40 ms (2.0 plain deliveries, 0.050 of "
        "the calculation) and 205 KiB; 1 inconclusive, 1999 pass"
    )
