"""Which of several workers plays a case: a case and its control case are always on the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mta_sts_lab.model.case import Case
from mta_sts_lab.runs.sharding import divide


def shard_of_each(cases: Sequence[Case], count: int) -> Mapping[str, int]:
    """Return the number of the shard of each case, from 0.

    The same cases always give the same shards, so that each worker finds its own without asking the others.
    """
    return {case.id: number for number, shard in enumerate(divide(cases, count)) for case in shard}
