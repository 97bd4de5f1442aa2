"""The mutation run itself: it changes decisions, leaves the flaws alone, and puts the tree back."""

from __future__ import annotations

import ast
import tomllib

import pytest

from tests.mutants import CONCERNED, EXPLAINED, SOURCES, mutants


@pytest.mark.parametrize("module", CONCERNED)
def test_each_mutant_is_a_program_of_its_own(module: str) -> None:
    found = list(mutants(module))
    original = ast.unparse(ast.parse((SOURCES / f"{module}.py").read_text(encoding="utf-8")))
    assert found
    for one in found:
        assert one.source != original, one.key
        ast.parse(one.source)
        assert "flaws" not in one.before


def test_each_explanation_is_about_a_mutant_that_there_is() -> None:
    known = {one.key for module in CONCERNED for one in mutants(module)}
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("explained", [])
    assert [one["mutant"] for one in explained if one["mutant"] not in known] == []
    assert all(len(one["reason"]) > 20 for one in explained)
