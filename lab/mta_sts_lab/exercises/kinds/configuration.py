"""A configuration of a mail server to be made right: cases are played, and what became of mail is compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from mta_sts_lab.exercises.registry import Kind, Result, Solution, register
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.service import RunRequest, run


class Wanted(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A case, and what has to become of its message in a step."""

    case: str
    outcome: Outcome
    says: str
    step: str = "attack"


class ConfigurationTask(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The shipped target, the files that are laid over it, and what has to become of mail."""

    target: str
    files: list[str]
    wanted: list[Wanted]


def _check(task: ConfigurationTask, _solution: Solution, folder: Path) -> Iterator[Result]:
    files = [folder / name for name in task.files]
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file")
    cases = tuple(dict.fromkeys(one.case for one in task.wanted))
    request = RunRequest(cases, target=task.target, config=tuple(map(str, files)), out=folder / "runs")
    verdicts = run(request).verdicts
    yield from compared(task, {(one.case, step.step): step.outcome for one in verdicts for step in one.steps})


def compared(task: ConfigurationTask, found: Mapping[tuple[str, str], Outcome | None]) -> Iterator[Result]:
    """Compare what became of mail, by case and step, with what is wanted."""
    for one in task.wanted:
        outcome = found.get((one.case, one.step))
        if outcome is None or outcome is Outcome.UNSETTLED:
            yield Result(False, f"{one.case}: what became of the mail could not be seen; check again")
        elif outcome is one.outcome:
            yield Result(True, f"{one.case}: {one.says}")
        else:
            yield Result(False, f"{one.case}: wanted is that {one.says} ({one.outcome}); it is {outcome}")


register(
    Kind(
        "configuration",
        ConfigurationTask,
        _check,
        note="plays cases against your configuration in Docker; that takes a minute, the first time some more",
    )
)
