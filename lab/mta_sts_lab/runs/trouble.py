"""What each expected kind of trouble returns as exit status. Whatever is not listed is a fault of our own."""

from __future__ import annotations

#: 0 as expected, 1 findings, 2 usage, 3 lab error, 4 inconclusive, 5 nothing selected; 130 and 141 are the shell's own,
#: for Ctrl-C and for a reader who has gone.
USAGE, LAB_ERROR, INCONCLUSIVE, NOTHING_SELECTED, INTERRUPTED, UNREAD = 2, 3, 4, 5, 130, 141


class UsageError(Exception):
    """What was typed cannot be done; the message says what would be right."""


class RunBroken(Exception):
    """A run whose results cannot be trusted or kept: the message says why."""


class Interrupted(Exception):
    """The user, or whoever runs us, wanted to stop. The message says what is left."""


def status_of(error: Exception) -> int | None:
    """Return the exit status for an expected kind of trouble; None for a fault of our own."""
    from mta_sts_lab.backends.docker.engine import EngineError
    from mta_sts_lab.backends.docker.folder import FolderError
    from mta_sts_lab.catalogue import CatalogueError, NothingSelected
    from mta_sts_lab.judge.known_failures import KnownFailuresError
    from mta_sts_lab.record import RecordError
    from mta_sts_lab.reference.flaws import UnknownFlaw
    from mta_sts_lab.reference.server import ContainerError
    from mta_sts_lab.reports.verdicts_reading import VerdictsError
    from mta_sts_lab.targets.contract import TargetError
    from mta_sts_lab.world.network import AddressInUse, UnsafeAddress

    kinds: tuple[tuple[type[Exception], int], ...] = (
        (NothingSelected, NOTHING_SELECTED),
        (CatalogueError, USAGE),
        (UsageError, USAGE),
        (UnknownFlaw, USAGE),
        (FolderError, USAGE),
        (KnownFailuresError, USAGE),
        (RecordError, USAGE),
        (VerdictsError, USAGE),
        (RunBroken, LAB_ERROR),
        (EngineError, LAB_ERROR),
        (AddressInUse, LAB_ERROR),
        (UnsafeAddress, LAB_ERROR),
        (ContainerError, LAB_ERROR),
        (TargetError, INCONCLUSIVE),
        (Interrupted, INTERRUPTED),
    )
    return next((status for kind, status in kinds if isinstance(error, kind)), None)
