"""Plays cases against the reference sender as `sts-lab run` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.model.case import Case
from mta_sts_lab.runs import RunRequest, RunResult, run

#: The worlds' names and the canaries come from it: a failure can be played again as it was.
SEED = 8461


def play(
    catalogue: Catalogue,
    cases: Sequence[Case],
    out: Path,
    flaws: Iterable[str] = (),
    again: int | None = None,
) -> RunResult:
    """Play some cases, and the control cases that they need, against a sender with some flaws."""
    request = RunRequest(
        tuple(case.id for case in cases), flaws=tuple(flaws), out=out, seed=SEED, retry_inconclusive=again
    )
    return run(request, catalogue=catalogue)
