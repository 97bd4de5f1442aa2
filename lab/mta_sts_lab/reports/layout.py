"""Paragraphs and lines of a timeline for terminals: hanging indents, never wider than the page, no markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from mta_sts_lab.model.case import Scenario
from mta_sts_lab.reports.escaping import escape_unprintable, shortened
from mta_sts_lab.reports.timeline import Emphasis, Line

#: Cells. Longer lines than this are hard to follow by eye, also on a projector.
WIDEST = 100

#: Cells that a paragraph gets at least, however wide its gutter is.
NARROWEST = 20


#: Cells. The longest pair of speakers is "attacker => sender".
_ACTOR = 18

#: Cells. An SMTP line may have thousands of octets; four lines of the page tell enough, the record has it all.
_LONGEST = 200

LINE_STYLES = {
    Emphasis.PLAIN: "",
    Emphasis.QUIET: "dim",
    Emphasis.ATTACK: "red",
    Emphasis.LEAK: "bold red",
    Emphasis.SECURE: "green",
    Emphasis.TROUBLE: "yellow",
}


def page_width(width: int) -> int:
    """Return how much of a console of some width is used."""
    return min(width, WIDEST)


@dataclass(frozen=True, slots=True)
class Hanging:
    """A paragraph whose further lines are indented below its first, to the right of a gutter.

    Both parts are `Text`, which rich never reads as markup; unprintable characters in them were escaped before.
    """

    gutter: Text
    body: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Lay the paragraph out for the console it is printed on."""
        indent = self.gutter.cell_len
        room = max(page_width(options.max_width) - indent, NARROWEST)
        for number, line in enumerate(self.body.wrap(console, room, overflow="fold") or [Text()]):
            whole = Text(no_wrap=True, overflow="ignore")
            whole.append_text(self.gutter if number == 0 else Text(" " * indent))
            whole.append_text(line)
            whole.rstrip()
            yield whole


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the page, of one plain character that every pipe and terminal can show."""

    character: str = "-"
    style: str = "dim"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw it as long as the page is wide."""
        yield Text(self.character * page_width(options.max_width), style=self.style, no_wrap=True, overflow="ignore")


def escaped(text: str, style: str = "") -> Text:
    """Return foreign text for the terminal, its unprintable characters written out."""
    return Text(escape_unprintable(text), style=style)


def paragraph(text: str, indent: int = 0, style: str = "") -> Hanging:
    """Return running text, escaped, as an indented paragraph."""
    return Hanging(Text(" " * indent), escaped(text, style))


def labelled(label: str, text: str | Text, indent: int = 2, width: int = 12, style: str = "") -> Hanging:
    """Return a labelled paragraph: the label in the gutter, the text, escaped, hanging beside it."""
    gutter = Text(" " * indent + label.ljust(width - 1) + " ", style="bold")
    return Hanging(gutter, text if isinstance(text, Text) else escaped(text, style))


def explained(words: Mapping[str, str]) -> Hanging:
    """Return one dim paragraph that says what some words of the output mean."""
    return paragraph("  ".join(f"{word}: {meaning}." for word, meaning in words.items()), style="dim")


def paragraphs(text: str) -> list[str]:
    """Split text from a file into paragraphs (at blank lines), the lines of each joined."""
    blocks = text.replace("\r\n", "\n").split("\n\n")
    return [" ".join(block.split()) for block in blocks if block.strip()]


def story(scenario: Scenario, rule: str = "-") -> list[RenderableType]:
    """Return the title of a scenario, its id, and its story."""
    parts: list[RenderableType] = [paragraph(scenario.title, style="bold"), escaped(scenario.id, "dim"), Rule(rule)]
    for block in paragraphs(scenario.story):
        parts += [Text(), paragraph(block)]
    return [*parts, Text()]


def gutter_line(line: Line, indent: int = 0) -> Hanging:
    """Lay one line out: `  0.412  sender > attacker  EHLO mta.sender.example`."""
    style = LINE_STYLES[line.emphasis]
    gutter = Text(" " * indent)
    gutter.append(f"{line.at:7.3f}  ", style="dim")
    gutter.append(shortened(line.actor, _ACTOR).ljust(_ACTOR) + "  ", style=style)
    return Hanging(gutter, said(line))


def quoted(line: Line, indent: int = 0) -> list[Hanging]:
    """Lay out the text that belongs to a line (a policy, a message), below it."""
    style = LINE_STYLES[line.emphasis]
    gutter = Text(" " * (indent + 9 + _ACTOR + 2) + "| ", style="dim")
    return [Hanging(gutter, Text(shortened(text, _LONGEST), style=style)) for text in line.quoted]


def said(line: Line) -> Text:
    """Return a line's words; what the attacker took away or replaced is struck through, and named as such in words."""
    style = LINE_STYLES[line.emphasis]
    body = Text(shortened(line.text, _LONGEST), style=style)
    if line.struck:
        label = "instead of: " if line.text else "removed by the attacker: "
        body.append(" [" if line.text else "[")
        body.append(label)
        body.append(shortened(line.struck, _LONGEST), style="strike")
        body.append("]")
    return body
