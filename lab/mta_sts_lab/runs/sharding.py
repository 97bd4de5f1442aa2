"""Divides cases into shares of about the same time, for runs beside each other or on several machines.

What belongs together stays in one share: a case and its control case, and the cases that share a restart of the target
or a change of its clock. The same cases always give the same shares.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mta_sts_lab.catalogue import NothingSelected, digest_of
from mta_sts_lab.model.case import Case
from mta_sts_lab.record import Shard
from mta_sts_lab.runs.errors import UsageError

#: The value of `--shard` that takes number and total from the environment.
FROM_ENVIRONMENT = "env"

#: How long a restart or a change of the clock takes, in messages: the cases that share it are played by themselves.
_CHANGE = 8.0


@dataclass(frozen=True, slots=True)
class ParallelJobs:
    """The variables in which a system tells each of its parallel jobs which of how many it is."""

    system: str
    index: str
    first: int
    total: str = ""


PARALLEL_JOBS = (
    ParallelJobs("GitLab", "CI_NODE_INDEX", 1, "CI_NODE_TOTAL"),
    ParallelJobs("CircleCI", "CIRCLE_NODE_INDEX", 0, "CIRCLE_NODE_TOTAL"),
    ParallelJobs("Buildkite", "BUILDKITE_PARALLEL_JOB", 0, "BUILDKITE_PARALLEL_JOB_COUNT"),
    ParallelJobs("Semaphore", "SEMAPHORE_JOB_INDEX", 1, "SEMAPHORE_JOB_COUNT"),
    ParallelJobs("Azure Pipelines", "SYSTEM_JOBPOSITIONINPHASE", 1, "SYSTEM_TOTALJOBSINPHASE"),
    ParallelJobs("Kubernetes", "JOB_COMPLETION_INDEX", 0),
)


def parse_shard(text: str, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return number and total of `2/5`, of `env` (both from the environment) or of `env/5`. Raises `UsageError`."""
    if text == FROM_ENVIRONMENT or text.startswith(f"{FROM_ENVIRONMENT}/"):
        number, total = _of_environment(text, environment)
    else:
        number, total = text.partition("/")[::2]
    if not re.fullmatch("[0-9]{1,6}", number) or not re.fullmatch("[0-9]{1,6}", total) or int(total) == 0:
        raise UsageError(f"--shard {text}: a shard is written 2/5, the second of five; or env, or env/5")
    if not 1 <= int(number) <= int(total):
        raise UsageError(f"--shard {text}: there is no shard {number} of {total}; the shards are 1 to {total}")
    return int(number), int(total)


def _of_environment(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    _, _, given = text.partition("/")
    for jobs in PARALLEL_JOBS:
        index = environment.get(jobs.index, "")
        if not index:
            continue
        if not re.fullmatch("[0-9]{1,6}", index):
            raise UsageError(f"--shard {text}: {jobs.index}={index} is not a number")
        total = given or environment.get(jobs.total, "")
        if not total:
            raise UsageError(f"--shard {text}: {jobs.system} does not say of how many; write env/5 for five")
        return str(int(index) - jobs.first + 1), total
    names = ", ".join(f"{jobs.index} ({jobs.system})" for jobs in PARALLEL_JOBS)
    raise UsageError(f"--shard {text}: the environment names no parallel job; none of these is set: {names}")


def take_shard(
    cases: Sequence[Case], number: int, total: int, seconds: Mapping[str, float] | None = None
) -> tuple[tuple[Case, ...], Shard]:
    """Return the cases of one shard, and its description for the record. Raises `NothingSelected`."""
    shares = divide(cases, total, seconds)
    if number > len(shares):
        raise NothingSelected(
            f"shard {number}/{total} has no case: {len(cases)} cases, with those that belong together, "
            f"come to {len(shares)} {'shard' if len(shares) == 1 else 'shards'}"
        )
    return shares[number - 1], Shard(number, total, len(shares), len(cases), digest_of(cases))


def divide(
    cases: Sequence[Case], parts: int, seconds: Mapping[str, float] | None = None
) -> tuple[tuple[Case, ...], ...]:
    """Divide cases into at most so many shares of about the same time, none of them empty.

    `seconds` are times of the cases as they were measured; a case without one counts by its messages.
    """
    weigh = _weights(cases, seconds or {})
    groups = sorted(
        _groups(cases), key=lambda group: (-sum(weigh[case.id] for case in group), min(case.id for case in group))
    )
    loads = [0.0] * parts
    share_of: dict[str, int] = {}
    for group in groups:
        lightest = loads.index(min(loads))
        loads[lightest] += sum(weigh[case.id] for case in group)
        share_of |= {case.id: lightest for case in group}
    shares = (tuple(case for case in cases if share_of[case.id] == part) for part in range(parts))
    return tuple(share for share in shares if share)


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Return the cases that must be played by one run, together."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for case in cases:
        if case.control:
            parent[root(case.id)] = root(case.control)
        if case.changes_target:
            parent[root(case.id)] = root(f"change of {case.scenario} {case.vector}")
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[root(case.id)].append(case)
    return list(groups.values())


def _weights(cases: Sequence[Case], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return how heavy each case is. Where times are known, the others are taken for as heavy as these by messages."""
    messages = {case.id: _messages(case) for case in cases}
    measured = [case for case in cases if seconds.get(case.id, 0.0) > 0.0]
    if not measured:
        return messages
    each = sum(seconds[case.id] for case in measured) / sum(messages[case.id] for case in measured)
    return {name: seconds.get(name, 0.0) or each * count for name, count in messages.items()}


def _messages(case: Case) -> float:
    """Return how long a case takes, in messages."""
    changes = sum(bool(step.restart) + bool(step.advance) for step in case.steps)
    return sum(step.send for step in case.steps) + changes * _CHANGE + 1.0
