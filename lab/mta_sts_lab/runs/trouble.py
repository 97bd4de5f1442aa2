"""What each expected kind of trouble returns as exit status. Whatever is not listed is a fault of the lab."""

from __future__ import annotations

import traceback
from pathlib import Path

from mta_sts_lab.reports.summary import INCONCLUSIVE, LAB_ERROR, NOTHING_SELECTED, USAGE

__all__ = ["INCONCLUSIVE", "INTERRUPTED", "LAB_ERROR", "NOTHING_SELECTED", "USAGE", "fault_of_the_lab", "status_of"]

#: The shell's own, for Ctrl-C.
INTERRUPTED = 130


class UsageError(Exception):
    """What was typed cannot be done; the message says what would be right."""


class RunBroken(Exception):
    """A run whose results cannot be trusted or kept: the message says why."""


class Interrupted(Exception):
    """The user, or whoever runs us, wanted to stop. The message says what is left."""


def status_of(error: Exception) -> int | None:
    """Return the exit status for an expected kind of trouble; None for a fault of the lab."""
    from mta_sts_lab.backends.registry import BackendError, TargetRefused
    from mta_sts_lab.catalogue import CatalogueError, NothingSelected
    from mta_sts_lab.judge.known_failures import KnownFailuresError
    from mta_sts_lab.record import RecordError
    from mta_sts_lab.reports.verdicts_reading import VerdictsError
    from mta_sts_lab.targets.contract import TargetError
    from mta_sts_lab.world.network import AddressInUse, UnsafeAddress

    kinds: tuple[tuple[type[Exception], int], ...] = (
        (NothingSelected, NOTHING_SELECTED),
        (CatalogueError, USAGE),
        (UsageError, USAGE),
        (TargetRefused, USAGE),
        (KnownFailuresError, USAGE),
        (RecordError, USAGE),
        (VerdictsError, USAGE),
        (RunBroken, LAB_ERROR),
        (BackendError, LAB_ERROR),
        (AddressInUse, LAB_ERROR),
        (UnsafeAddress, LAB_ERROR),
        (TargetError, INCONCLUSIVE),
        (Interrupted, INTERRUPTED),
    )
    return next((status for kind, status in kinds if isinstance(error, kind)), None)


def fault_of_the_lab(error: Exception) -> str:
    """Say in one line what went wrong inside the lab, and where: no exception of its own is a finding."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return " ".join(f"an error in the lab, and no finding: {type(error).__name__}: {error}{where}".split())
