"""Reports that no address has taken yet, on disk until one does or their time is over (RFC 8460, section 5.5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from mta_sts_lab.reference.atomic import write_atomically
from mta_sts_lab.reference.report import Report


class PendingReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report with the history of its attempts. Times are virtual seconds since 1970."""

    report: Report
    begun_at: float
    next_try: float
    attempts: int = 0


class ReportSpool:
    """A directory with one file a report."""

    def __init__(self, directory: Path, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._log = log
        directory.mkdir(parents=True, exist_ok=True)

    def load(self) -> list[PendingReport]:
        """Return what an earlier life of the sender left."""
        found: list[PendingReport] = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=PendingReport))
            except (OSError, msgspec.MsgspecError) as error:
                self._log(f"reports: {path.name} cannot be read and is left out: {error}")
        return found

    def keep(self, pending: PendingReport) -> None:
        """Write a report down. When the disk refuses, it lasts as long as this process."""
        try:
            write_atomically(self._path(pending), msgspec.json.encode(pending))
        except OSError as error:
            self._log(f"report for {pending.report.domain}: it could not be written: {error}")

    def remove(self, pending: PendingReport) -> None:
        """Forget a report, kept or not."""
        self._path(pending).unlink(missing_ok=True)

    def _path(self, pending: PendingReport) -> Path:
        return self._directory / f"{pending.report.id.partition('@')[0]}.json"
