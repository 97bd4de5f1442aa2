"""The output of an adapter check: a line for each part, with a remedy below each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from mta_sts_lab.adapter_check import LAB, Finding, Status
from mta_sts_lab.record import Header
from mta_sts_lab.reports.escaping import legal_json, shortened
from mta_sts_lab.reports.layout import Hanging, labelled
from mta_sts_lab.reports.summary import AS_EXPECTED, FINDING, INCONCLUSIVE, LAB_ERROR

#: Raised with any change that breaks a reader of the older document.
FORMAT = 1

_STYLES = {
    Status.OK: "green",
    Status.NOT_OFFERED: "dim",
    Status.FINDING: "yellow",
    Status.NOT_PROVABLE: "cyan",
    Status.SKIPPED: "dim",
    Status.INCONCLUSIVE: "magenta",
    Status.FAULT: "bold red",
}

#: The most characters of an observation: three lines, or eight for a fault. The JSON has the whole text.
_LONGEST, _LONGEST_FAULT = 200, 520

_GUTTER = 14

_MEANINGS = {
    AS_EXPECTED: "the adapter keeps the contract",
    FINDING: "the adapter has to be mended",
    LAB_ERROR: "error in the lab: the check proves nothing",
    INCONCLUSIVE: "inconclusive: not everything that could be shown was shown",
}


def exit_code(findings: Sequence[Finding]) -> int:
    """Return the exit status of a check: 0 good, 1 something is wrong, 3 the lab failed, 4 not all was shown."""
    statuses = {finding.status for finding in findings}
    if any(finding.part == LAB for finding in findings):
        return LAB_ERROR
    if Status.FAULT in statuses:
        return FINDING
    return INCONCLUSIVE if statuses & {Status.INCONCLUSIVE, Status.SKIPPED} else AS_EXPECTED


def adapter_page(findings: Sequence[Finding]) -> RenderableType:
    """Return the printed output of a check."""
    parts: list[RenderableType] = []
    for finding in findings:
        head = Text(finding.status.value.ljust(_GUTTER), style=_STYLES[finding.status])
        longest = _LONGEST_FAULT if finding.status is Status.FAULT else _LONGEST
        body = Text.assemble((f"{shortened(finding.part, 80)}: ", "bold"), shortened(finding.observed, longest))
        parts.append(Hanging(head, body))
        if finding.remedy:
            code = Text(f"[{finding.code}] ", style="bold")
            parts.append(labelled("", code + Text(finding.remedy), indent=2, width=_GUTTER - 2))
    counts = Counter(finding.status for finding in findings)
    counted = ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
    meaning = _MEANINGS[exit_code(findings)]
    parts += [Text(), Text(f"{counted}: {meaning}.", style="bold")]
    return Group(*parts)


def adapter_document(header: Header | None, findings: Sequence[Finding], folder: PurePath) -> dict[str, Any]:
    """Return a check as plain data for JSON. The header is None if the target's container did not stay up."""
    code = exit_code(findings)
    return {
        "format": FORMAT,
        "run": folder.name,
        "target": {
            "name": header.about.name if header else "",
            "versions": dict(header.about.versions) if header else {},
            "capabilities": list(header.about.capabilities) if header else [],
        },
        "exit": {"code": code, "meaning": _MEANINGS[code]},
        "findings": [
            {
                "part": finding.part,
                "result": finding.status.value,
                "code": finding.code,
                "observed": finding.observed,
                "remedy": finding.remedy,
                "evidence": list(finding.evidence),
            }
            for finding in findings
        ],
    }


def encoded(document: dict[str, Any]) -> str:
    """Return the document as JSON that every reader takes, in ASCII."""
    return legal_json(document) + "\n"
