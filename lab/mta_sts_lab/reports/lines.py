"""A timeline's line in a terminal: seconds, who speaks to whom, and what was said, in aligned gutters."""

from __future__ import annotations

from rich.text import Text

from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.layout import Hanging
from mta_sts_lab.reports.timeline import Emphasis, Line

#: Cells. The longest pair of speakers is "attacker => sender".
_ACTOR = 18

#: Cells. An SMTP line may have thousands of octets; four lines of the page tell enough, the record has it all.
_LONGEST = 200

STYLES = {
    Emphasis.PLAIN: "",
    Emphasis.QUIET: "dim",
    Emphasis.ATTACK: "red",
    Emphasis.LEAK: "bold red",
    Emphasis.SECURE: "green",
    Emphasis.TROUBLE: "yellow",
}


def gutter_line(line: Line, indent: int = 0) -> Hanging:
    """Lay one line out: `  0.412  sender > attacker  EHLO mta.sender.example`."""
    style = STYLES[line.emphasis]
    gutter = Text(" " * indent)
    gutter.append(f"{line.at:7.3f}  ", style="dim")
    gutter.append(shortened(line.actor, _ACTOR).ljust(_ACTOR) + "  ", style=style)
    return Hanging(gutter, said(line))


def said(line: Line) -> Text:
    """Return a line's words; what the attacker took away or replaced is struck through, and named as such in words."""
    style = STYLES[line.emphasis]
    body = Text(shortened(line.text, _LONGEST), style=style)
    if line.struck:
        label = "instead of: " if line.text else "removed by the attacker: "
        body.append(" [" if line.text else "[")
        body.append(label)
        body.append(shortened(line.struck, _LONGEST), style="strike")
        body.append("]")
    return body
