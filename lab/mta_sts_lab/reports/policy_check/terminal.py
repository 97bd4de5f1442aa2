"""The result of `sts-lab policy-check` for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from mta_sts_lab.policy_check import Checked
from mta_sts_lab.policy_check.given import Finding, Level
from mta_sts_lab.policy_check.outlook import Fate
from mta_sts_lab.reports.escaping import escape_unprintable, shortened
from mta_sts_lab.reports.layout import Hanging, escaped

_STYLES = {Level.PROBLEM: "bold red", Level.ADVICE: "yellow"}
_FATE_STYLES = {Fate.WAITS: "red", Fate.REPORTED: "yellow", Fate.DELIVERED: "green"}

#: Cells of a line of the policy that are shown.
_LINE = 66


def pages(checked: Checked) -> Iterator[RenderableType]:
    """Yield what is wrong, what senders will do, and the line that counts."""
    source = ""
    for finding in checked.findings:
        if finding.source != source:
            source = finding.source
            yield escaped(source, "bold")
        yield from _finding(finding)
    if checked.outlook.sentences or checked.outlook.hosts:
        yield Text("What senders will do", style="bold")
    for sentence in checked.outlook.sentences:
        yield Hanging(Text("  "), escaped(sentence))
    for host in checked.outlook.hosts:
        yield Hanging(Text("  "), escaped(host.says, _FATE_STYLES.get(host.fate, "")))
    if checked.not_checked:
        yield Hanging(Text(""), Text(f"Not given, and not checked: {'; '.join(checked.not_checked)}.", style="dim"))
    yield Text(_count(checked), style="bold")


def _finding(finding: Finding) -> Iterator[RenderableType]:
    where = f"line {finding.line}: " if finding.line else ""
    head = Text("  ")
    head.append(f"{finding.level.value.upper()}  ", _STYLES[finding.level])
    yield Hanging(head, Text(f"{where}{escape_unprintable(finding.what)}"))
    if finding.text:
        yield Text(f"    | {shortened(finding.text, _LINE)}", no_wrap=True, overflow="ignore")
    yield Hanging(Text("    "), escaped(finding.effect))


def _count(checked: Checked) -> str:
    problems = len(checked.problems)
    advice = len(checked.findings) - problems
    said = [f"{problems} problem{'' if problems == 1 else 's'}" if problems else "No problem"]
    said += [f"{advice} piece{'' if advice == 1 else 's'} of advice"] if advice else []
    return f"{', '.join(said)}."
