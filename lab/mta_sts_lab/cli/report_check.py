"""`sts-lab report-check`: what given TLS reports say, and what is wrong with them (RFC 8460)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mta_sts_lab.cli.report_inputs import read_inputs
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.tls_reports.page import page
from mta_sts_lab.reports.tls_reports.terminal import last_line, pages
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs.errors import USAGE, UsageError
from mta_sts_lab.tlsrpt import KeyLookup, KeyUnavailable
from mta_sts_lab.tlsrpt.checking import Checked, Options, check_inputs
from mta_sts_lab.tlsrpt.files import KNOWN_OTHERS

#: A report was read, and it has findings that count.
FINDINGS = 1

_MEANINGS = {
    FINDINGS: "At least one rule is not kept.",
    0: "Nothing wrong with what could be checked.",
}


def check_files(names: Sequence[str], media_type: str | None, keys: Sequence[str]) -> tuple[Checked, ...]:
    """Check everything that is named. Raises `UsageError` for a key that is not written as NAME=RECORD."""
    options = Options(media_type, _lookup(keys))
    return check_inputs(read_inputs(names), load_requirements(), options)


def exit_status(checked: Sequence[Checked]) -> int:
    """Return 1 for findings; else 2 where `_lacks` says what is missing; else 0."""
    if any(one.bad for one in checked):
        return FINDINGS
    return USAGE if _lacks(checked) else 0


def show(screen: Console, checked: Sequence[Checked], verbose: bool) -> None:
    """Print the failures, the findings, and the line that counts."""
    for part in pages(checked, verbose):
        screen.print(part)
    screen.print(last_line(checked, _MEANINGS.get(exit_status(checked)) or _lacks(checked)))


def write_page(path: Path, checked: Sequence[Checked]) -> None:
    """Write the HTML page. Raises `UsageError` where that is not possible."""
    try:
        path.write_text(page(checked), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--html {path}: cannot be written: {error.strerror or error}") from error


def _lacks(checked: Sequence[Checked]) -> str:
    """Say what keeps a call without findings from being clean; empty where nothing does."""
    unread = any(
        one.unreadable or any(finding.grade is Grade.INCONCLUSIVE for finding in one.findings) for one in checked
    )
    if unread:
        return "Not everything could be read."
    if not any(one.is_report for one in checked):
        return "There is no TLS report in it."
    useful = {one.file for one in checked if one.is_report or one.other in KNOWN_OTHERS}
    if any(one.named and one.file not in useful for one in checked):
        return "Not every file that was named holds reports or mail."
    return ""


def _lookup(keys: Sequence[str]) -> KeyLookup | None:
    if not keys:
        return None
    records: dict[str, bytes] = {}
    for key in keys:
        name, equals, record = key.partition("=")
        if not equals or "._domainkey." not in name or not record:
            raise UsageError(
                f"--dkim-key {escape_unprintable(key)[:80]}: write it as selector._domainkey.domain=RECORD"
            )
        records[name.strip().rstrip(".").lower()] = record.encode("utf-8", "surrogateescape")

    def find(name: str) -> bytes | None:
        try:
            return records[name.lower()]
        except KeyError:
            raise KeyUnavailable(name) from None

    return find
