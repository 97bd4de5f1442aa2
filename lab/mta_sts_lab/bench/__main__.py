"""The time budgets, measured: whole processes, wall time and processor time, beside what they may take.

Benchmarks, not tests: a slow machine makes a figure worse, never a build red.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mta_sts_lab.backends.docker.engine import EngineError, connect
from mta_sts_lab.backends.folder import shipped_targets
from mta_sts_lab.bench.process import lab_share, median, timed
from mta_sts_lab.bench.scale import scale_lines, target_lines
from mta_sts_lab.bench.targets import BenchFailed, TargetCost, costs
from mta_sts_lab.bench.walk import print_walk
from mta_sts_lab.catalogue import NothingSelected
from mta_sts_lab.events import ReportReceived, ReportsAsked, ReportsLeft
from mta_sts_lab.judge import judge
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.runs.jobs import processors

#: Domains that are reported on when it is measured how long reports take.
REPORTED_DOMAINS = 20

#: Where those domains come from: each of these cases wants one report at one place, and takes it at once.
REPORTED_SCENARIOS = ("certificate-failures", "fail-over", "handshake-failures", "heartbeat", "starttls-failures")

#: The lab's own sender as a target that is a plain program. The braces stand for the Python that runs it.
_PROCESS = """
name = "reference-process"
title = "Reference sender as a program"
description = "The lab's own correct sender in namespaces."

[inject]
port = 25
starttls = true

[process]
command = [{}, "-m", "mta_sts_lab", "reference-sender"]
serves_contract = true
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure, in the unit that `unit` names.

    `budget` is None where nobody has set one, and `value` where it was not measured.
    """

    what: str
    budget: float | None
    value: float | None
    unit: str
    note: str = ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, epilog="Without options: everything.")
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="only what the whole catalogue costs on these; with --scale what it costs several times at once",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the runs against targets in this folder")
    parser.add_argument("--walk", metavar="CASE", help="only which modules of the lab a case goes through")
    parser.add_argument(
        "--scale",
        nargs="?",
        type=int,
        const=processors(),
        metavar="JOBS",
        help="only what thousands of cases cost, in so many processes",
    )
    return parser.parse_args()


def main() -> None:
    """Measure everything and print the tables; or what the options name."""
    options = _options()
    if options.walk is not None:
        try:
            print_walk(options.walk)
        except NothingSelected as error:
            raise SystemExit(str(error)) from error
        return
    console = Console(highlight=False)
    named = frozenset(options.targets)
    if options.scale is not None:
        _scale(console, options.scale, named)
        return
    if not named:
        figures: list[Measured] = []
        for measure in (
            _help,
            _demo,
            _case_on_a_process,
            _catalogue_in_process,
            _one_more_case,
            _reports_in_process,
            _catalogue_on_postfix,
            _reports_on_postfix,
        ):
            console.print(f"measuring: {(measure.__doc__ or '').splitlines()[0]}", style="dim")
            figures += measure()
        console.print(_table(figures))
        _scale(console, processors(), frozenset())
    _targets(console, named, options.out)


def _scale(console: Console, jobs: int, named: frozenset[str]) -> None:
    """Print what thousands of cases cost in process or on targets, a line as soon as it has been measured."""
    _look_for(named)
    for lines in [target_lines(target, jobs) for target in sorted(named)] or [scale_lines(jobs)]:
        for line in lines:
            console.print(line, soft_wrap=True)


def _targets(console: Console, named: frozenset[str], out: Path | None) -> None:
    """Print a line a target as soon as it has been measured."""
    _look_for(named)
    try:
        connect()
        for cost in costs(named, out):
            console.print(_cost_line(cost), soft_wrap=True)
    except EngineError as error:
        console.print(f"what each target costs: not measured: {error}")
    except BenchFailed as error:
        raise SystemExit(f"make bench: {error}") from error


def _look_for(named: frozenset[str]) -> None:
    if unknown := named - shipped_targets().keys():
        raise SystemExit(f"no target is called {', '.join(sorted(unknown))}; `sts-lab targets` lists them")


def _cost_line(cost: TargetCost) -> str:
    share = "" if cost.lab_share is None else f", {cost.lab_share:.0f} % of the processor time the lab's own"
    plain = f"{cost.messages} plain deliveries {cost.plain:.1f} s"
    return f"{cost.name}: whole catalogue {cost.run:.1f} s{share}; {plain}"


def _table(figures: Sequence[Measured]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("what", "budget", "measured", ""):
        table.add_column(heading, justify="right" if heading in ("budget", "measured") else "left")
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:.2f} {figure.unit}"
        table.add_row(figure.what, *_beside_the_budget(figure, value))
    return table


def _beside_the_budget(figure: Measured, value: str) -> tuple[str, str, str]:
    if figure.budget is None:
        return "-", value, figure.note
    within = "" if figure.value is None else ("within" if figure.value <= figure.budget else "over")
    return f"{figure.budget:g} {figure.unit}", value, f"{within} {figure.note}".strip()


def _help() -> list[Measured]:
    """How long `sts-lab --help` takes."""
    return [Measured("sts-lab --help", 0.25, median(lambda: timed(["--help"]).wall), "s")]


def _demo() -> list[Measured]:
    """How long the demonstration of the strip attack takes, set up already."""
    with tempfile.TemporaryDirectory() as out:
        wall = median(lambda: timed(["demo", "strip", "--out", out]).wall)
    return [Measured("make scenario-strip", 3, wall, "s")]


def _case_on_a_process() -> list[Measured]:
    """How long a single case takes against the lab's own sender as a plain program in namespaces."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "target.toml").write_text(_PROCESS.format(json.dumps(sys.executable)), encoding="utf-8")
        arguments = ["run", "starttls/strip[enforce]", "--target", folder, "--out", f"{folder}/runs"]
        wall = median(lambda: timed(arguments, accepted=(0,)).wall)
    return [Measured("one case against a process", 5, wall, "s")]


def _catalogue_in_process() -> list[Measured]:
    """How long the whole catalogue takes in process."""
    with tempfile.TemporaryDirectory() as out:
        run = timed(["run", "--out", out])
    return [Measured("whole catalogue in process", 15, run.wall, "s", f"{run.cpu:.1f} s of processor time")]


def _one_more_case() -> list[Measured]:
    """What one more case costs in process: the difference between a family and all families, a case."""
    cases = len(load_shipped_catalogue().cases)
    with tempfile.TemporaryDirectory() as out:
        few = timed(["run", "starttls/strip", "--jobs", "1", "--out", out])
        many = timed(["run", "--jobs", "1", "--out", out])
    more = cases - 4
    return [
        Measured("one more case, processor time", 40, (many.cpu - few.cpu) / more * 1000, "ms"),
        Measured("one more case, memory", 150, (many.memory - few.memory) / more, "KiB"),
    ]


def _catalogue_on_postfix() -> list[Measured]:
    """How long the whole catalogue takes against Postfix in Docker, images built."""
    what, share = "whole catalogue on Postfix", "of it the lab's own share"
    try:
        connect()
    except EngineError:
        return [Measured(what, 60, None, "s", "no Docker engine answers")]
    with tempfile.TemporaryDirectory() as out:
        timed(["run", "starttls/strip", "--target", "postfix", "--out", out])
        run = timed(["run", "--target", "postfix", "--out", out])
        used = lab_share(Path(out))
    return [Measured(what, 60, run.wall, "s"), Measured(share, 50, used, "%", "of both containers' processor time")]


def _reports_in_process() -> list[Measured]:
    """How long the reference sender's reports take, from the request to the verdicts."""
    return [_reports("reference")]


def _reports_on_postfix() -> list[Measured]:
    """The same for Postfix in Docker, images built."""
    try:
        connect()
    except EngineError:
        return [Measured(_what_reports("postfix"), None, None, "s", "no Docker engine answers")]
    return [_reports("postfix")]


def _what_reports(target: str) -> str:
    return f"reports on {REPORTED_DOMAINS} domains, judged ({target})"


def _reports(target: str) -> Measured:
    """Measure from the request for reports to the verdicts: until they have left, and judging the record of them."""
    found = load_shipped_catalogue().find([f"rpt-content/{name}" for name in REPORTED_SCENARIOS])
    cases = [case.id for case in found if case.judges_reports]
    with tempfile.TemporaryDirectory() as out:
        timed(["run", *cases[:REPORTED_DOMAINS], "--target", target, "--out", out])
        (path,) = Path(out).glob("*/record.jsonl")
        began = time.perf_counter()
        record = read_record(path)
        judge(record, load_requirements())
        judging = time.perf_counter() - began
    asked = next(event.at for event in record.events if isinstance(event.fact, ReportsAsked))
    left = next((event.at for event in record.events if isinstance(event.fact, ReportsLeft)), None)
    came = len({event.case for event in record.events if isinstance(event.fact, ReportReceived)})
    if left is None or came != REPORTED_DOMAINS:
        raise SystemExit(f"{target}: {came} of {REPORTED_DOMAINS} domains got a report")
    return Measured(_what_reports(target), None, left - asked + judging, "s", f"{judging:.2f} s of it judging")


if __name__ == "__main__":
    main()
