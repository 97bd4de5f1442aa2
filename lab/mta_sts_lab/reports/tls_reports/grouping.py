"""Findings by their cause: what is wrong in many reports in the same way is printed once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mta_sts_lab.tlsrpt import Finding
from mta_sts_lab.tlsrpt.checking import Checked
from mta_sts_lab.tlsrpt.summary import DomainSum

#: Values that a new one is compared with, so that the time stays linear whatever the reports say.
_REMEMBERED = 50


@dataclass(slots=True)
class FindingGroup:
    """Equal findings: the first of them, where in the reports they are, what was observed, and in which reports."""

    first: Finding
    of_several: bool
    places: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)


def grouped(checked: Sequence[Checked]) -> list[FindingGroup]:
    """Return the findings grouped by their cause, the gravest last: that stands just above the prompt."""
    several = len([one for one in checked if one.findings or one.is_report]) > 1
    groups: dict[tuple[str, ...], FindingGroup] = {}
    for one in checked:
        for finding in one.findings:
            key = (finding.check, finding.obligation, finding.reason, finding.grade)
            group = groups.setdefault(key, FindingGroup(finding, several))
            for kept, value in (
                (group.places, "the whole text" if finding.where == "$" else finding.where),
                (group.observed, finding.observed),
                (group.reports, one.name),
            ):
                # The last of a kind comes next to its equals: findings of one report follow one another.
                if value not in kept[-_REMEMBERED:]:
                    kept.append(value)
    order = ["info", "weak", "inconclusive", "fail"]
    return sorted(groups.values(), key=lambda group: order.index(group.first.grade.value))


def stated(count: int, row: DomainSum) -> str:
    """Return a number of sessions; with a question mark where some report of the row states none."""
    return f"{count or ''}?" if row.uncounted else str(count)


def some(names: Iterable[str], most: int) -> str:
    """Return the first of some names, and how many more there are."""
    known = list(names)
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")


def plural(count: int, one: str, several: str = "") -> str:
    """Return a number with its noun."""
    return f"{count} {one if count == 1 else several or one + 's'}"
