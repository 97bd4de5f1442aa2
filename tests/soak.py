"""Plays cases again and again while the machine is busy, and prints each verdict that is not that of the first run.

Not a test: `make soak` plays the catalogue as often as it takes for 10,000 cases; `make soak CASES='starttls/*'
ROUNDS=20 LOAD=1 TARGET=postfix` says which cases, how often, beside how many busy processes for each processor at most,
and against which mail server. Each verdict that differs is a fault of the lab.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.runs import RunRequest, RunResult, load_shipped_catalogue, run

#: Busy processes for each processor, at most, unless `--load` says otherwise.
_HEAVIEST = 3

#: How many cases are played in all rounds together, unless `--rounds` says otherwise.
_CASE_RUNS = 10_000


def _be_busy(nice: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.nice(nice)
    while os.getppid() != 1:
        sum(range(10_000))


@contextlib.contextmanager
def _load(dice: random.Random, heaviest: int) -> Iterator[str]:
    """Keep the machine busy with some processes of different priority; yield what they are."""
    context = multiprocessing.get_context("spawn")
    priorities = [dice.choice((0, 0, 5, 19)) for _ in range(dice.randint(0, heaviest * (os.cpu_count() or 1)))]
    children = [context.Process(target=_be_busy, args=(nice,), daemon=True) for nice in priorities]
    for child in children:
        child.start()
    try:
        yield f"{len(children)} busy processes, nice {priorities}"
    finally:
        for child in children:
            child.kill()
            child.join()


def _grades(result: RunResult) -> dict[str, Grade]:
    return {verdict.case: verdict.grade for verdict in result.verdicts}


def main() -> int:
    """Play the rounds; return how many verdicts differed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("cases", nargs="*")
    words.add_argument("--rounds", type=int, default=None)
    words.add_argument("--load", type=int, default=_HEAVIEST)
    words.add_argument("--target", default="reference")
    words.add_argument("--seed", type=int, default=None)
    given = words.parse_args()
    dice = random.Random(given.seed)
    catalogue, differing = load_shipped_catalogue(), 0
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(tuple(given.cases), target=given.target, out=Path(folder))
        first = _grades(run(request, catalogue=catalogue))
        rounds = given.rounds or -(-_CASE_RUNS // len(first))
        for number in range(1, rounds + 1):
            with _load(dice, given.load) as load:
                result = run(request, catalogue=catalogue)
            changed = {case: grade for case, grade in _grades(result).items() if grade is not first[case]}
            differing += len(changed)
            print(f"round {number} of {rounds} ({load}): {len(changed)} of {len(first)} verdicts differ", flush=True)
            for verdict in result.verdicts:
                if verdict.case in changed:
                    why = sorted({one.reason for one in verdict.judgements if one.grade is verdict.grade})
                    print(f"  {verdict.case}: {first[verdict.case]} -> {verdict.grade} ({', '.join(why)})", flush=True)
    print(f"{rounds * len(first)} case-runs: {differing} verdicts were not those of the first run")
    return differing


if __name__ == "__main__":
    sys.exit(min(main(), 1))
