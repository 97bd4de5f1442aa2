"""The tests that are left to the nightly run are those on the list, and each name on the list is a test."""

from __future__ import annotations

import pytest

from tests.nightly import mark_nightly

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


def test_the_listed_tests_are_marked_and_what_is_none_is_returned(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers = nightly")
    items = pytester.getitems(TESTS)
    file = items[0].path.name
    listed = {
        file: ["test_ways[long [x]]", "TestGroup::test_inside", "test_gone", "test_plain[1]"],
        "tests/of_another_file.py": ["test_that_is_not_collected"],
    }
    assert mark_nightly(items, listed, pytester.path) == {file: {"test_gone", "test_plain[1]"}}
    marked = [item.name for item in items if item.get_closest_marker("nightly")]
    assert marked == ["test_ways[long [x]]", "test_inside[1]", "test_inside[2]"]
