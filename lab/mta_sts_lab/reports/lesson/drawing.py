"""The geometry of the sequence diagram: lanes from left to right, time downwards, one row for what is said."""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts_lab.reports.escaping import shortened

#: Units of the drawing. What is 1000 units wide is as wide as its place on the page.
WIDTH = 1000
ROW = 66

#: The lanes: their names, and where they stand.
LANES = (("sender", 70), ("DNS", 285), ("policy host", 480), ("attacker", 715), ("MX host", 925))

_X = {"sender": 70, "dns": 285, "policy": 480, "attacker": 715, "mx": 925}

#: Who is not in a lane of its own stands in one of those.
_STANDS_AT = {
    "sender's queue": "sender",
    "own mx": "sender",
    "lab": "sender",
    "path": "attacker",
    "report": "mx",
    "report mx": "mx",
}

#: Whose lines are no SMTP: neither pipe is drawn for them.
_NOT_SMTP = {"dns", "report"}

#: Units that a letter is wide at the size of the labels, and the room beside the outermost lanes.
_LETTER = 18
_MARGIN = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `kind` is clear (an open pipe), tls (a closed one), plain, note or band (a step begins)."""

    kind: str
    label: str
    x1: int = 0
    x2: int = 0
    anchor: str = "start"
    struck: bool = False
    #: Whether the attacker reads it on its way past him.
    seen: bool = False
    #: Whether it is inside TLS that ends at the attacker.
    foe: bool = False

    @property
    def label_x(self) -> int:
        """Where the label begins, or ends."""
        left, right = min(self.x1, self.x2), max(self.x1, self.x2)
        if self.kind == "band":
            return _MARGIN
        return max(left - 60, _MARGIN) if self.anchor == "start" else min(right + 65, WIDTH - _MARGIN)

    @property
    def left(self) -> int:
        """The left end of its pipe."""
        return min(self.x1, self.x2)

    @property
    def length(self) -> int:
        """How long its pipe is."""
        return abs(self.x2 - self.x1)

    @property
    def direction(self) -> int:
        """Where its arrow points: 1 to the right, -1 to the left, 0 for a note."""
        return (self.x2 > self.x1) - (self.x2 < self.x1)


def band(label: str) -> Row:
    """Return the row in which a step begins."""
    return Row("band", shortened(label, (WIDTH - 2 * _MARGIN) // _LETTER), 0, WIDTH)


def row_of(actor: str, label: str, struck: bool = False) -> Row:
    """Return the row of a line, by its actor as a timeline writes it: `sender > mx`, `mx => sender`, `attacker`."""
    for arrow, kind in ((" => ", "tls"), (" > ", "clear")):
        left, found, right = actor.partition(arrow)
        if found:
            x1, x2 = _place(left), _place(right)
            if x1 != x2:
                drawn = "plain" if {left, right} & _NOT_SMTP else kind
                return _labelled(drawn, label, x1, x2, struck)
            return _labelled("note", label, x1, x1, struck)
    return _labelled("note", label, _place(actor), _place(actor), struck)


def _labelled(kind: str, label: str, x1: int, x2: int, struck: bool) -> Row:
    anchor = "start" if min(x1, x2) < _X["policy"] else "end"
    row = Row(kind, label, x1, x2, anchor, struck)
    room = WIDTH - _MARGIN - row.label_x if anchor == "start" else row.label_x - _MARGIN
    return Row(kind, shortened(label, room // _LETTER), x1, x2, anchor, struck)


def _place(name: str) -> int:
    return _X[_STANDS_AT.get(name, name)] if _STANDS_AT.get(name, name) in _X else _X["sender"]
