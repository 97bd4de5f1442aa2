"""Which case of a scenario finds a flaw: known from earlier, so that the kill matrix need not play all of them.

`python -m tests.killing_cases` plays all cases of the scenarios that say that they kill a flaw, and writes the lightest
case of each that finds it to `killing_cases.json`. Where the file says nothing, or a case no longer finds the flaw, the
kill matrix plays all cases of the scenario.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mta_sts_lab.model.case import Scenario
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.reference.flaws import FLAWS, Flaw
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import RunResult, load_shipped_catalogue
from mta_sts_lab.runs.jobs import processors

from tests.playing import play

CATALOGUE = load_shipped_catalogue()
REQUIREMENTS = load_requirements()

_FILE = Path(__file__).with_name("killing_cases.json")


@cache
def known_killing_cases() -> Mapping[str, Mapping[str, str]]:
    """Return, by flaw and scenario, the id of a case that has found the flaw."""
    content: dict[str, dict[str, str]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content


def killers(flaw: Flaw) -> list[Scenario]:
    """Return the scenarios that say that they kill a flaw."""
    return [scenario for scenario in CATALOGUE.scenarios if flaw.name in scenario.kills]


def kills(verdict: Verdict, flaw: Flaw) -> bool:
    """Whether a verdict finds a flaw: its own obligation, in the grade of that obligation, and against the target.

    What stayed unproved, or went wrong in the lab, finds nothing.
    """
    grades = _finding_grades(REQUIREMENTS[flaw.obligation])
    return not verdict.control_only and any(
        judgement.obligation == flaw.obligation and judgement.grade in grades for judgement in verdict.judgements
    )


def _finding_grades(requirement: Requirement) -> set[Grade]:
    """An expectation may override how much its obligation counts, but nothing turns a mere note into a finding."""
    noted = requirement.grade_when_broken is Grade.INFO
    return {Grade.FAIL, Grade.WEAK} | ({Grade.INFO} if noted else set())


def _lightest(flaw: Flaw, played: RunResult) -> dict[str, str]:
    """Return, by scenario, the case with the fewest events, those of its control case among them, that finds a flaw."""
    events = Counter(event.case for event in played.record.events)
    found = [CATALOGUE.cases[verdict.case] for verdict in played.verdicts if kills(verdict, flaw)]
    found.sort(key=lambda case: (events[case.id] + events[case.control or ""], case.id), reverse=True)
    return {case.scenario: case.id for case in found}


def _find(name: str) -> tuple[str, dict[str, str]]:
    flaw = FLAWS[name]
    cases = [case for scenario in killers(flaw) for case in scenario.cases]
    with tempfile.TemporaryDirectory() as folder:
        return name, _lightest(flaw, play(CATALOGUE, cases, Path(folder), [name]))


def main() -> int:
    """Play what the file does not name, or everything with `--all`, and write the file."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--all", action="store_true", help="play also what the file names")
    everything = words.parse_args().all
    wanted = {name: {scenario.id for scenario in killers(flaw)} for name, flaw in FLAWS.items()}
    known = known_killing_cases() if _FILE.exists() and not everything else {}
    kept = {name: known[name] for name, scenarios in wanted.items() if set(known.get(name, {})) == scenarios}
    missing = [name for name in FLAWS if name not in kept]
    with multiprocessing.get_context("spawn").Pool(processors()) as pool:
        for number, (name, found) in enumerate(pool.imap_unordered(_find, missing), start=1):
            kept[name] = found
            unfound = wanted[name] - set(found)
            print(
                f"{number} of {len(missing)}: {name}{f': not found by {sorted(unfound)}' if unfound else ''}",
                flush=True,
            )
    _FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
