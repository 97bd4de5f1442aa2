"""Brings up the world of a case with its attack in force, and leaves it for people to enter."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from mta_sts_lab.backends.registry import Job, TargetRefused, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.catalogue import Catalogue, NothingSelected
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import ATTACKED, Plan
from mta_sts_lab.whole_files import write_whole


def check_stays_up(target: TargetFolder) -> None:
    """Raise `TargetRefused` for a target whose world nobody could enter."""
    if not find_backend(target.file.backend).stays_up:
        raise TargetRefused(
            f"{target.name} runs inside of this program, where nothing else could reach its world: "
            "name a target in Docker (--target postfix) or a program (--command ./mymta)"
        )


def one_case(catalogue: Catalogue, name: str) -> Case:
    """Return the case of an id; of a scenario the first one under enforce. Raises `NothingSelected`."""
    found = catalogue.find([name])
    if len({case.scenario for case in found}) > 1:
        raise NothingSelected(f"{name} is more than one scenario; `up` takes a case, such as {found[0].id}")
    return next((case for case in found if case.mode is Mode.ENFORCE), found[0])


def bring_up(plan: Plan, case: Case, job: Job) -> None:
    """Bring up a target and the world of a case, and leave them until a signal comes.

    Nothing is played, and nothing is left but what `job.say` was told. Raises `BackendError` and `TargetError`.
    """
    check_stays_up(job.target)
    with tempfile.TemporaryDirectory(prefix="sts-lab-") as name:
        directory = Path(name)

        def keep(file: str, text: str) -> None:
            write_whole(directory / file, text.encode())

        nothing = Outlet(lambda _: None, lambda _: None, lambda _: None, keep)
        planned = replace(plan, cases=(case,), control_only=frozenset(), stays=ATTACKED)
        find_backend(job.target.file.backend).play(replace(job, plan=planned, outlet=nothing, directory=directory))
