"""What is wrong with a report.

The parser or a check notes a *departure* from an obligation. A *finding* is a departure with the obligation's text and
grade.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.tlsrpt.limits import MOST_NOTED

#: Characters of a foreign value that are quoted in a finding.
_QUOTED = 160

#: Characters of a finding's longer texts: names and media types in them are foreign as well.
_LONGEST = 600

#: Characters that are shown from before a difference.
_BEFORE = 20


@dataclass(frozen=True, slots=True)
class Departure:
    """One place where a report is not what an obligation asks for.

    `where` is a path into the JSON (`policies[0].summary`), a header field, the file name, or a part of the container.
    Without a `grade` the level of the obligation decides; with one, `note` says which ambiguity or reason overrides it.
    `also` are further obligations that the same departure breaks.
    """

    obligation: str
    reason: str
    where: str
    expected: str
    observed: str
    grade: Grade | None = None
    note: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A departure, the obligation that it breaks in so many words, and how bad that is.

    `grade` is fail, weak or info; inconclusive where the lab could not look. `reason` is a stable code, `check`
    the name of the check, which reads as the sentence that does not hold.
    """

    check: str
    obligation: str
    level: str
    rfc: str
    section: str
    text: str
    grade: Grade
    reason: str
    where: str
    expected: str
    observed: str
    note: str = ""
    also: tuple[str, ...] = ()


class Notes:
    """The departures that the parser meets on its way, up to a bound: a hostile report has one in every octet."""

    def __init__(self) -> None:
        self._noted: list[Departure] = []
        self._obligations: set[str] = set()

    def add(self, departure: Departure) -> None:
        """Note a departure. Past the bound, only one whose obligation was not noted before is kept."""
        if len(self._noted) < MOST_NOTED or departure.obligation not in self._obligations:
            self._noted.append(departure)
            self._obligations.add(departure.obligation)

    def __iter__(self) -> Iterator[Departure]:
        return iter(self._noted)


def finding(departure: Departure, check: str, requirements: Mapping[str, Requirement]) -> Finding:
    """Return the finding that a departure makes. Raises `KeyError` for an obligation that does not exist."""
    requirement = requirements[departure.obligation]
    expected, observed = apart(departure.expected, departure.observed)
    return Finding(
        check=check,
        obligation=requirement.id,
        level=requirement.level,
        rfc=requirement.rfc,
        section=requirement.section,
        text=requirement.text,
        grade=departure.grade or requirement.grade_when_broken,
        reason=departure.reason,
        where=departure.where[:_LONGEST],
        expected=expected,
        observed=observed,
        note=departure.note,
        also=departure.also,
    )


def printed_alike(expected: str, observed: str) -> bool:
    """Whether nobody could see from two texts what differs: quotation marks and blanks around a value do not count."""
    return _bare(expected) == _bare(observed)


def _bare(text: str) -> str:
    return text.replace('"', "").replace("'", "").strip()


def apart(expected: str, observed: str) -> tuple[str, str]:
    """Return both texts as long as a finding prints them; where they would be alike, what they have from there on."""
    printed = expected[:_LONGEST], observed[:_LONGEST]
    if expected == observed or not printed_alike(*printed):
        return printed
    at = _first_difference(expected, observed)
    began, much = max(at - _BEFORE, 0), _LONGEST // 2
    shown = (f"from character {began + 1} on: {text[began : began + much]!r}" for text in (expected, observed))
    return next(shown), next(shown)


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def quoted_apart(expected: str, observed: str) -> tuple[str, str]:
    """Return two foreign texts in quotation marks, cut to what a finding quotes, so that their difference shows."""
    if expected[:_QUOTED] != observed[:_QUOTED] or len(expected) <= _QUOTED or len(observed) <= _QUOTED:
        return quoted(expected), quoted(observed)
    at = _first_difference(expected, observed)
    return f"{quoted(expected[at:])} from character {at + 1} on", f"{quoted(observed[at:])} from character {at + 1} on"


def listed_apart(expected: Collection[str], observed: Collection[str]) -> tuple[str, str]:
    """Return two lists of foreign names, each in quotation marks, the ones that only one list has first."""
    return _first(expected, observed), _first(observed, expected)


def _first(names: Collection[str], others: Collection[str], most: int = 6) -> str:
    shown = [quoted(name) for name in sorted(names, key=lambda name: (name in others, name))]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def quoted(text: str) -> str:
    """Return foreign text in quotation marks, cut to what a finding quotes."""
    return f'"{text}"' if len(text) <= _QUOTED else f'"{text[:_QUOTED]}" and {len(text) - _QUOTED} characters more'


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return some of the names in order, and how many more there are."""
    shown = sorted(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
