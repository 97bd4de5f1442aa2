from __future__ import annotations

import pytest
from mta_sts_lab.catalogue.problems import KeyPath, LineIndex

TEXT = '''title = "one"
story = """
[not a table]
outcome = "not a key"
"""

[world.mx]
name = "a"

[[step]]
name = "prime"

[[step]]
name = "attack"
attack.smtp = { name = "strip_starttls", host = "mx1" }

[step.expect.enforce]
outcome = "deferred"

[[vector]] # a comment
name = "two"
list = [
    { name = "x" },
    { certificate = "y" },
]
"quoted key" = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 1),
        (("story",), 2),
        (("outcome",), 1),
        (("world", "mx"), 7),
        (("world", "mx", 0, "name"), 8),
        (("step", 0, "name"), 11),
        (("step", 1), 13),
        (("step", 1, "attack", "smtp"), 15),
        (("step", 1, "attack", "smtp", "host"), 15),
        (("step", 1, "expect", "enforce", "outcome"), 18),
        (("step", 1, "expect", "enforce", "missing"), 17),
        (("vector", 0), 20),
        (("vector", 0, "list", 1, "certificate"), 24),
        (("vector", 0, "quoted key"), 26),
        ((), 1),
        (("nowhere", "at", "all"), 1),
    ],
)
def test_a_key_is_found_on_its_line(path: KeyPath, line: int) -> None:
    assert LineIndex(TEXT).line_of(path) == line


def test_what_is_not_written_is_not_known() -> None:
    index = LineIndex(TEXT)
    assert index.knows(("step", 1, "expect", "enforce"))
    assert not index.knows(("step", 0, "expect", "enforce"))
    assert not index.knows(("outcome",))
