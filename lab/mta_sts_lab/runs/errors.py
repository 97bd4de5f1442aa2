"""The errors that a command may raise, and the exit status of each. Any other exception is an error in the lab."""

from __future__ import annotations

import traceback
from pathlib import Path

from mta_sts_lab.reports.summary import INCONCLUSIVE, LAB_ERROR, NOTHING_SELECTED, USAGE

__all__ = ["INCONCLUSIVE", "INTERRUPTED", "LAB_ERROR", "NOTHING_SELECTED", "USAGE", "fault_of_the_lab", "status_of"]

#: The shell's own, for Ctrl-C.
INTERRUPTED = 130


class UsageError(Exception):
    """A command line or a file is wrong. The message says what would be right."""


class RunBroken(Exception):
    """The results of a run cannot be trusted or written. The message says why."""


class Interrupted(Exception):
    """The run was ended by Ctrl-C, SIGTERM or SIGHUP. The message says what was kept; `status` is the exit status."""

    def __init__(self, message: str, status: int = INTERRUPTED) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: Exception) -> int | None:
    """Return the exit status of an expected error; None for an error in the lab."""
    from mta_sts_lab.backends.registry import BackendError, TargetRefused
    from mta_sts_lab.catalogue import CatalogueError, NothingSelected
    from mta_sts_lab.judge.known_failures import KnownFailuresError
    from mta_sts_lab.record import RecordError
    from mta_sts_lab.reports.verdicts_reading import VerdictsError
    from mta_sts_lab.targets.contract import NeverUp, TargetError
    from mta_sts_lab.world.network import AddressInUse, NoLoopback, UnsafeAddress

    kinds: tuple[tuple[type[Exception], int], ...] = (
        (NothingSelected, NOTHING_SELECTED),
        (CatalogueError, USAGE),
        (UsageError, USAGE),
        (TargetRefused, USAGE),
        (NeverUp, USAGE),
        (KnownFailuresError, USAGE),
        (RecordError, USAGE),
        (VerdictsError, USAGE),
        (RunBroken, LAB_ERROR),
        (BackendError, LAB_ERROR),
        (AddressInUse, LAB_ERROR),
        (NoLoopback, LAB_ERROR),
        (UnsafeAddress, LAB_ERROR),
        (TargetError, INCONCLUSIVE),
    )
    if isinstance(error, Interrupted):
        return error.status
    return next((status for kind, status in kinds if isinstance(error, kind)), None)


def fault_of_the_lab(error: Exception) -> str:
    """Return one line about an exception inside the lab: its type, message and place in the code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return " ".join(f"an error in the lab, and no finding: {type(error).__name__}: {error}{where}".split())
