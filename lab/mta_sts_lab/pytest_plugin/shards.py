"""Which of several workers plays a case: a case and its control case are always on the same one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

_MODE = re.compile(r"\[[^],]+")


def shard_of_each(cases: Sequence[str], count: int) -> Mapping[str, int]:
    """Return the number of the shard of each case, from 0.

    The same cases always give the same shards, so that each worker finds its own without asking the others.
    """
    sizes = Counter(map(_together, cases))
    loads = [0] * count
    shards: dict[str, int] = {}
    for group, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        shards[group] = loads.index(min(loads))
        loads[shards[group]] += size
    return {case: shards[_together(case)] for case in cases}


def _together(case: str) -> str:
    """Return what the modes of one scenario and vector have in common."""
    return _MODE.sub("[", case, count=1)
