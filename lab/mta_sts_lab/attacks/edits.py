"""What an attacker makes of a genuine reply on its way to the sender, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from mta_sts_lab.attacks.smtp import Reply


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a reply on its way to the sender. Nothing `said` is a line removed; `altered`: by the attacker."""

    said: str
    altered: bool = False
    instead_of: str = ""


#: What an attack makes of a genuine reply.
Edit: TypeAlias = Callable[[Reply], Iterable[Line]]


def untouched(genuine: Reply) -> list[Line]:
    """Return the lines of a reply as they are."""
    return [Line(line) for line in genuine.lines]


def punctuate(lines: list[Line]) -> list[Line]:
    """Put a space behind the code of the last line that is said, a hyphen behind every other (RFC 5321, 4.2.1)."""
    last = max((number for number, line in enumerate(lines) if line.said), default=-1)
    return [
        replace(line, said=line.said[:3] + (" " if number == last else "-") + line.said[4:])
        if len(line.said) > 3
        else line
        for number, line in enumerate(lines)
    ]
