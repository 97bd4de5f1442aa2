"""A policy to be mended: it is checked as `sts-lab policy-check` does, and against what was asked for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mta_sts_lab.exercises.registry import Kind, Result, Solution, register
from mta_sts_lab.policy_check import Given, GivenPolicy, check_given
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.runs.policy_files import given_records, read_file

#: Characters of a finding that are shown.
_LONGEST = 120


class PolicyTask(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The files, the MX hosts that are in DNS, and what the policy has to be."""

    file: str
    mx: list[str]
    mode: str
    records: str = ""
    #: Seconds that senders have to keep it at least.
    max_age: int = 0


def _check(task: PolicyTask, _solution: Solution, folder: Path) -> Iterator[Result]:
    body = read_file(str(folder / task.file))
    records = given_records((), [str(folder / task.records)]) if task.records else ()
    given = Given(
        now=datetime.datetime.now(datetime.UTC),
        policy=GivenPolicy(task.file, body),
        records=records,
        mx=tuple(task.mx),
    )
    findings = check_given(given).findings
    for finding in findings:
        where = f", line {finding.line}" if finding.line else ""
        source = Path(finding.source).name
        yield Result(False, f"{source}{where}: {shortened(finding.what, _LONGEST)}")
    if not findings:
        yield Result(True, f"{task.file}: policy-check finds nothing")
    if task.records and (given.announced is None or given.reports is None):
        yield Result(False, f"{task.records}: one of the two records is missing")
    assert given.read is not None
    if given.read.valid:
        right = given.read.mode == task.mode and given.read.max_age >= task.max_age
        yield Result(
            right, f"{task.file}: mode {task.mode}" + ("" if right else " and a long enough max_age are asked for")
        )


register(Kind("policy", PolicyTask, _check))
