"""The documents that come with the lab, and their sections by the names that messages call them by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.shipped_files import shipped_files

_HEADING = re.compile(r"(?P<depth>#{1,6}) +(?P<text>.+?) *")

#: What a fenced block begins and ends with: a comment of a shell in it is no heading.
_FENCE = "```"


@dataclass(frozen=True, slots=True)
class Document:
    """A page of Markdown. `name` is that of its file without the suffix."""

    name: str
    path: Path

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its first heading."""
        return next((text for _, _, text in _headings(self.text)), self.name)

    @property
    def sections(self) -> tuple[str, ...]:
        """The names of its sections, as they stand behind the number sign in a link."""
        return tuple(anchor(text) for _, _, text in _headings(self.text))

    def section(self, name: str) -> str | None:
        """Return a section, from its heading to the next one that is not below it; None if there is none so called."""
        lines, found = self.text.splitlines(), list(_headings(self.text))
        for place, (number, depth, text) in enumerate(found):
            if anchor(text) == name:
                ends = (line for line, other, _ in found[place + 1 :] if other <= depth)
                return "\n".join(lines[number : next(ends, len(lines))]).rstrip() + "\n"
        return None


def documents() -> dict[str, Document]:
    """Return the documents by their names, in order."""
    return {path.stem: Document(path.stem, path) for path in sorted((shipped_files() / "docs").glob("*.md"))}


def anchor(heading: str) -> str:
    """Return what stands behind the number sign in a link to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each heading: the number of its line, from 0, its depth and its text."""
    fenced = False
    for number, line in enumerate(text.splitlines()):
        fenced ^= line.startswith(_FENCE)
        if not fenced and (found := _HEADING.fullmatch(line)):
            yield number, len(found["depth"]), found["text"]
