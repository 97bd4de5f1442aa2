"""Every obligation of a sender, policy fetcher and report generator, one data file an RFC.

The texts are paraphrases. `status` says how a row stands. `covered`: a flaw of the reference sender breaks exactly this
row, and a case fails it under this id. `judged`: a check or an expectation names the row, and no flaw tries it.
`permission`: a MAY, which cannot be broken. `not-yet`: nothing looks at it. `not-observable` and `out-of-scope`:
nothing can, for a reason. A test computes these words from the checks, the scenarios and the flaws.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Literal

import msgspec

from mta_sts_lab.model.grading import Requirement

Level = Literal["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "DEFN", "lc-must", "lc-should", "lc-may", "lc-info"]
Status = Literal["covered", "judged", "permission", "not-yet", "not-observable", "out-of-scope"]

#: A row that no scenario will ever cover has to say why.
STATUSES_WITH_REASON = ("not-observable", "out-of-scope")

#: How alike two words must be (difflib's ratio) for one to be offered instead of the other: `strip_startls` scores
#: 0.96, an unrelated name below 0.5.
_ALIKE = 0.6


class RequirementError(Exception):
    """A data file of requirements that cannot be used: the message names the file and the row."""


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    section: str
    level: Level
    binds: Literal["sender", "fetcher", "reporter"]
    text: str
    status: Status
    consequence: bool = False
    reason: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rfc: str
    title: str
    requirement: tuple[_Row, ...]


def load_requirements(directory: Traversable | None = None) -> Mapping[str, Requirement]:
    """Return every requirement by its id, in the order of the files and of their rows.

    `directory` is where the `rfc*.toml` files lie; without it, those of this package. Raises `RequirementError` for a
    file that is not well formed, an unknown key, level or status, an id that was used before, and a row that is left
    out without a reason, or has a reason and is not left out.
    """
    return _of_this_package() if directory is None else _load(directory)


@cache
def _of_this_package() -> Mapping[str, Requirement]:
    return _load(resources.files(__package__))


def _load(directory: Traversable) -> Mapping[str, Requirement]:
    found: dict[str, Requirement] = {}
    files = sorted((file for file in directory.iterdir() if _is_data(file.name)), key=lambda file: file.name)
    for file in files:
        for row in _read(file):
            if row.id in found:
                raise RequirementError(
                    f"{file.name}: {row.id} is already defined, in the file of RFC {found[row.id].rfc}"
                )
            if row.status in STATUSES_WITH_REASON and not row.reason:
                raise RequirementError(f"{file.name}: {row.id} is {row.status}: a reason is missing")
            if row.reason and row.status not in STATUSES_WITH_REASON:
                raise RequirementError(f"{file.name}: {row.id} is {row.status}: nobody reads a reason there")
            found[row.id] = row
    if not found:
        raise RequirementError(f"{directory}: no requirements here: an rfc*.toml file is missing")
    return MappingProxyType(found)


def near_misses(word: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return up to three of some words that somebody may have meant who wrote another one, the nearest first."""
    # Case is no difference to a reader, but it is one to difflib.
    known = {candidate.lower(): candidate for candidate in words}
    return tuple(known[match] for match in difflib.get_close_matches(word.lower(), known, n=3, cutoff=_ALIKE))


def _is_data(name: str) -> bool:
    return name.startswith("rfc") and name.endswith(".toml")


def _read(file: Traversable) -> list[Requirement]:
    try:
        content = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise RequirementError(f"{file.name}: {error}") from error
    return [Requirement(rfc=content.rfc, **msgspec.structs.asdict(row)) for row in content.requirement]
