"""Scenario files for tests: a good one, and a way to put files where the loader looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import Catalogue, CatalogueError, load_catalogue
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import load_requirements

HEAD = '''title = "A title"
story = """
One sentence.
Another = one.
"""
effect = "An effect."
requirements = ["STS-5-03", "STS-5-05", "STS-5-06"]
kills = ["sends_clear_without_starttls"]
'''

ATTACK = """
[attack]
smtp = "strip_starttls"
"""

EXPECT = """
[expect.enforce]
outcome = "deferred"

[expect.testing]
outcome = "as-absent"

[expect.none]
outcome = "as-absent"

[expect.absent]
outcome = "delivered"
"""

GOOD = HEAD + ATTACK + EXPECT


def put(directory: Path, text: str, identifier: str = "family/name") -> Path:
    path = directory / f"{identifier}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(directory: Path, text: str) -> Catalogue:
    put(directory, text)
    return load_catalogue(directory, ATTACK_FORMS, load_requirements(), FLAWS)


def complaints(directory: Path, text: str) -> list[tuple[int, str]]:
    """Return the line and the message of everything that is wrong with a scenario file."""
    with pytest.raises(CatalogueError) as caught:
        load(directory, text)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def line_with(text: str, words: str) -> int:
    """Return the line (from 1) on which some words stand first."""
    return next(number for number, line in enumerate(text.splitlines(), start=1) if words in line)
