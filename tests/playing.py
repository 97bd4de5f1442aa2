"""Plays cases against the reference sender in this process and judges them, as `sts-lab run` does, without any files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import Catalogue, load_catalogue
from mta_sts_lab.events import Event
from mta_sts_lab.judge import judge
from mta_sts_lab.model import Case, Verdict
from mta_sts_lab.record import Footer, Header, Record
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.runner.run import run_in_process

SCENARIOS = Path(__file__).parents[1] / "scenarios"

#: The worlds' names and the canaries come from it: a failure can be played again as it was.
SEED = 8461


@dataclass(frozen=True)
class Played:
    """A run that has ended: its record, and a verdict on every case in it."""

    record: Record
    verdicts: tuple[Verdict, ...]


def shipped_catalogue() -> Catalogue:
    return load_catalogue(SCENARIOS, ATTACK_FORMS, load_requirements(), FLAWS)


async def play(catalogue: Catalogue, cases: Sequence[Case], directory: Path, flaws: Iterable[str] = ()) -> Played:
    """Play some cases, and the control arms that they need, against a sender with some flaws.

    `directory` is the sender's own. Nothing is shortened: the deadlines are those of every run in process.
    """
    headers: list[Header] = []
    events: list[Event] = []
    footers: list[Footer] = []
    outlet = Outlet(headers.append, events.append, footers.append, target_log=lambda _text: None)
    plan = plan_run(cases, catalogue.cases, ("pytest",), SEED)
    await run_in_process(plan, directory, frozenset(flaws), outlet)
    record = Record(headers[0], tuple(events), footers[0])
    return Played(record, tuple(judge(record, load_requirements())))
