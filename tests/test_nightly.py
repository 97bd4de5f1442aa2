"""The tests that are left to the nightly run are those on the list, and each name on the list is a test."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.nightly import ROOT, mark_nightly, nightly_tests

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.parametrize("way", ["short", "long [x]"])
def test_ways(way): pass

def test_plain(): pass

class TestGroup:
    @pytest.mark.parametrize("number", [1, 2])
    def test_inside(self, number): pass
"""


def test_the_listed_tests_are_marked(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers = nightly")
    items = pytester.getitems(TESTS)
    listed = {
        items[0].path.name: ["test_ways[long [x]]", "TestGroup::test_inside", "test_plain[1]"],
        "tests/of_another_file.py": ["test_plain"],
    }
    mark_nightly(items, listed, pytester.path)
    marked = [item.name for item in items if item.get_closest_marker("nightly")]
    assert marked == ["test_ways[long [x]]", "test_inside[1]", "test_inside[2]"]


def _functions(body: list[ast.stmt], before: str = "") -> Iterator[str]:
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            yield before + one.name
        elif isinstance(one, ast.ClassDef):
            yield from _functions(one.body, f"{before}{one.name}::")


@pytest.mark.parametrize("file", nightly_tests())
def test_each_name_on_the_list_is_a_test(file: str) -> None:
    there = set(_functions(ast.parse((ROOT / file).read_text(encoding="utf-8")).body))
    assert {name.partition("[")[0] for name in nightly_tests()[file]} - there == set()


def test_each_parameter_on_the_list_is_one() -> None:
    files = nightly_tests()
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    there = set(done.stdout.splitlines())
    wanted = {f"{file}::{name}" for file, names in files.items() for name in names if "[" in name}
    assert wanted - there == set()
