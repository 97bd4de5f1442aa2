"""The families of addresses of a run's world: IPv4, IPv6 or both."""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.backends.registry import TargetRefused, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.model.world import Family
from mta_sts_lab.runner.plan import Plan
from mta_sts_lab.runs.errors import UsageError

_BY_WORD = {"ipv4": (Family.IPV4,), "ipv6": (Family.IPV6,), "both": (Family.IPV4, Family.IPV6)}


def in_families(plan: Plan, word: str, target: TargetFolder) -> Plan:
    """Return a plan whose hosts have their addresses in the families that a word names.

    Without a word hosts have IPv4 addresses, but for those of cases that need both families; these have both where the
    target says that it speaks both, and can be given that. Raises `UsageError` for a word that is none of them, and
    `TargetRefused` where the target cannot be given such a world.
    """
    if word and word not in _BY_WORD:
        raise UsageError(f"--family {word}: it is one of {', '.join(_BY_WORD)}")
    backend = find_backend(target.file.backend)
    carried = set(backend.families(target))
    wanted = _BY_WORD[word or "ipv4"]
    if lacking := set(wanted) - carried:
        raise TargetRefused(f"--family {word}: {backend.why_without(min(lacking))}")
    both = set(wanted) == set(Family) or (not word and carried & set(target.file.families) == set(Family))
    return replace(plan, families=wanted, dual_stack=both)
