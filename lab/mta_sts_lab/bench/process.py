"""The program, run whole as a user runs it, and what that took."""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Runs of a short command; the median counts, because these machines are shared.
SHORT_RUNS = 5


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of wall and of processor time, and KiB of the largest process."""

    wall: float
    cpu: float
    memory: float


def timed(arguments: Sequence[str], accepted: Collection[int] = (0, 1)) -> Took:
    """Run the program once. Ends the benchmark when its exit status is none of those `accepted`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    script = (
        "import resource, sys; from mta_sts_lab.cli import main\n"
        "try: main()\n"
        "finally:\n"
        "  both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN\n"
        "  sys.stderr.write(f'\\n{max(resource.getrusage(which).ru_maxrss for which in both)}')"
    )
    done = subprocess.run(  # noqa: S603 - an argument list, no shell
        [sys.executable, "-c", script, *arguments], check=False, capture_output=True, text=True
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in accepted:
        raise SystemExit(f"sts-lab {' '.join(arguments)} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall, cpu, float(done.stderr.rsplit("\n", 1)[-1]))


def median(measure: Callable[[], float]) -> float:
    """Return the median of some measurements."""
    return statistics.median(measure() for _ in range(SHORT_RUNS))


def lab_share(out: Path) -> float | None:
    """Return the lab container's part of the processor time that both containers took, in per cent, in the last run."""
    latest = max(out.glob("*/target/processor-time.txt"), default=None, key=lambda path: path.stat().st_mtime)
    if latest is None:
        return None
    # A line for each instance of the target.
    lines = re.findall(r"^([0-9.]+) ([0-9.]+) seconds of", latest.read_text(encoding="utf-8"), re.MULTILINE)
    lab, target = sum(float(line[0]) for line in lines), sum(float(line[1]) for line in lines)
    return 100 * lab / (lab + target) if lab + target else None
