"""The families of addresses of a run's world: IPv4, IPv6 or both."""

from __future__ import annotations

from mta_sts_lab.backends.registry import TargetRefused, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.model import Family
from mta_sts_lab.runs.errors import UsageError

BOTH = "both"

_BY_WORD = {"ipv4": (Family.IPV4,), "ipv6": (Family.IPV6,), BOTH: (Family.IPV4, Family.IPV6)}


def families_of(word: str, target: TargetFolder) -> tuple[Family, ...]:
    """Return the families in which every host of a run has an address.

    Without a word that is IPv4. Raises `UsageError` for a word that is none of them, and `TargetRefused` where the
    target cannot be given such a world.
    """
    if word and word not in _BY_WORD:
        raise UsageError(f"--family {word}: it is one of {', '.join(_BY_WORD)}")
    wanted = _BY_WORD[word or "ipv4"]
    backend = find_backend(target.file.backend)
    if lacking := set(wanted) - set(backend.families(target)):
        why = backend.why_without(min(lacking))
        raise TargetRefused(f"--family {word}: {why}")
    return wanted
