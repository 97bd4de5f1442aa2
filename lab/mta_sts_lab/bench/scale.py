"""What thousands of cases cost: the catalogue repeated under new names, played by the whole program.

Figures are also given as ratios to what was measured in the same run: plain deliveries, and a fixed calculation. Those
can be compared between machines, and between a busy and a quiet one. A real mail server's processor time is not seen
here: what counts there is the time, and that each case has the verdict that it has in a catalogue played once.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.bench.process import Took, timed
from mta_sts_lab.bench.targets import plain_deliveries
from mta_sts_lab.reports.verdicts_reading import read_verdicts
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.shipped_files import shipped_files

#: How many cases are played, at least: whole catalogues are.
SIZES = (2_000, 10_000)

#: Messages of the baseline. So many take a second or two.
PLAIN_MESSAGES = 300

#: Rounds of the fixed calculation. So many take about a second.
_ROUNDS = 3_000_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """Seconds of processor time: of one plain delivery, and of the fixed calculation."""

    delivery: float
    calculation: float


@dataclass(frozen=True, slots=True)
class ScaleCost:
    """What a number of cases cost, and how often each verdict came."""

    cases: int
    took: Took
    grades: dict[str, int]

    def line(self, baseline: Baseline) -> str:
        """Return the figures in words."""
        each = self.took.cpu / self.cases
        grades = _in_words(self.grades)
        return (
            f"{self.cases} cases in process: {self.took.wall:.0f} s, {self.took.cpu:.0f} s of processor time, "
            f"{self.took.memory / 1024:.0f} MiB; a case {each * 1000:.0f} ms "
            f"({each / baseline.delivery:.1f} plain deliveries, {each / baseline.calculation:.3f} of the "
            f"calculation) and {self.took.memory / self.cases:.0f} KiB; {grades}"
        )


def scale_lines(jobs: int) -> Iterator[str]:
    """Measure in so many processes; yield a line for the baseline and one for each size."""
    baseline = measure_baseline()
    yield (
        f"baseline: a plain delivery in process takes {baseline.delivery * 1000:.1f} ms of processor time, "
        f"the fixed calculation {baseline.calculation:.2f} s"
    )
    for size in SIZES:
        yield cost_of(size, jobs).line(baseline)


def measure_baseline() -> Baseline:
    """Measure what the figures are compared with. Raises `BenchFailed`."""
    began = time.process_time()
    digest = b""
    for _ in range(_ROUNDS):
        digest = hashlib.sha256(digest).digest()
    calculation = time.process_time() - began
    plain_deliveries(find_target("reference"), 1)  # so that everything is imported
    began = time.process_time()
    plain_deliveries(find_target("reference"), PLAIN_MESSAGES)
    return Baseline((time.process_time() - began) / PLAIN_MESSAGES, calculation)


def cost_of(size: int, jobs: int) -> ScaleCost:
    """Play the catalogue as often as it takes for so many cases. Memory is that of the largest process."""
    took, grades = _play_repeated(_times(size), jobs, "reference")
    return ScaleCost(len(grades), took, dict(Counter(grades.values())))


def target_lines(target: str, jobs: int) -> Iterator[str]:
    """Play the catalogue once, and then as often as it takes for the smaller size at once, against a target.

    Yields a line for each, the second with the verdicts that are not those of the first play.
    """
    (once, first), times = _play_repeated(1, jobs, target), _times(SIZES[0])
    yield _target_line(target, once, first)
    took, grades = _play_repeated(times, jobs, target)
    expected = {renamed(case, number): grade for case, grade in first.items() for number in range(1, times + 1)}
    yield _target_line(target, took, grades)
    changed = {case: grade for case, grade in grades.items() if grade != expected[case]}
    yield f"{len(changed)} verdicts are not those of the catalogue played once"
    yield from (f"  {case}: {expected[case]} -> {grade}" for case, grade in sorted(changed.items()))


def _target_line(target: str, took: Took, grades: Mapping[str, str]) -> str:
    each = took.wall / len(grades) * 1000
    counted = _in_words(Counter(grades.values()))
    return f"{len(grades)} cases on {target}: {took.wall:.0f} s, {each:.0f} ms a case; {counted}"


def _in_words(grades: Mapping[str, int]) -> str:
    """Say how often each verdict came."""
    return ", ".join(f"{count} {grade}" for grade, count in sorted(grades.items()))


def _times(size: int) -> int:
    """Return how many catalogues have that many cases, or more."""
    return -(-size // len(load_shipped_catalogue().cases))


def _play_repeated(times: int, jobs: int, target: str) -> tuple[Took, dict[str, str]]:
    """Play the catalogue so many times in one run; return what that took, and the grade of each case."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs"
        command = ["run", "--target", target, "--jobs", str(jobs), "--out", str(out)]
        if times > 1:
            repeat_scenarios(shipped_files() / "scenarios", Path(folder) / "scenarios", times)
            command += ["--scenarios", f"{folder}/scenarios"]
        took = timed(command, accepted=(0, 1, 4))
        (verdicts,) = out.glob("*/verdicts.json")
        return took, {verdict.case: verdict.grade.value for verdict in read_verdicts(verdicts).verdicts}


def renamed(case: str, number: int) -> str:
    """Return a case's id in the repeated catalogue: `starttls/strip-2[enforce]`."""
    scenario, _, rest = case.partition("[")
    return f"{scenario}-{number}[{rest}"


def repeat_scenarios(source: Path, target: Path, times: int) -> None:
    """Write each scenario file so many times, under names of its own: `starttls/strip-2.toml`."""
    for path in source.glob("*/*.toml"):
        folder = target / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        if path.name == "family.toml":
            shutil.copy(path, folder)
            continue
        for number in range(1, times + 1):
            shutil.copy(path, folder / f"{path.stem}-{number}.toml")
