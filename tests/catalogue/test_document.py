from __future__ import annotations

import tomllib

import pytest
from mta_sts_lab.catalogue.document import Document, mismatches, with_lists

from tests.catalogue.files import GOOD, HEAD


def _messages(text: str) -> list[str]:
    return [problem.message for problem in mismatches(with_lists(tomllib.loads(text)), Document)]


def test_a_good_file_has_no_mismatch() -> None:
    assert _messages(GOOD) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[wrold.mx]\n", "unknown key `wrold`; did you mean `world`?"),
        ('[world.policy_host]\nstatsu = 301\n', "unknown key `statsu`; did you mean `status`?"),
        ('[expect.enforced]\noutcome = "deferred"\n', "unknown key `enforced`; did you mean `enforce`?"),
        ("[expect.enforce]\noutcome = 3\n", "`expect.enforce.outcome`: Expected `array`, got `int`"),
        ("[world.policy]\nmax_age = true\n", "`world.policy.max_age`: Expected `int`, got `bool`"),
        ("world = 3\n", "`world` must be a table, not a number"),
        ('step = "attack"\n', "`step` must be a list of tables, not text"),
        ("[[step]]\nsend = false\n", "`name` is missing in `step`"),
        ('[[step]]\nname = "a"\nrestart = "KIL"\n', "unknown value of `step.restart`: `KIL`; did you mean `KILL`?"),
        ('[[step]]\nname = "a"\nworld = "kept"\n', "unknown value of `step.world`: `kept`; did you mean `keep`?"),
        ('[expect.enforce]\noutcome = "deferred"\ngrade = "fial"\n',
         "unknown value of `expect.enforce.grade`: `fial`; did you mean `fail`?"),
        ('[expect.enforce]\noutcome = "deferred"\npolicy_requests = { mots = 0 }\n',
         "unknown key `mots`; did you mean `most`?"),
    ],
)  # fmt: skip
def test_a_mismatch_is_said_in_one_message(text: str, message: str) -> None:
    assert _messages(HEAD + text) == [message]


def test_all_mismatches_are_said_together() -> None:
    assert _messages("title = 1\nstroy = 2\n[world.mx]\nname = 3\n") == [
        "`title`: Expected `str`, got `int`",
        "unknown key `stroy`; did you mean `story`?",
        "`world.mx.name`: Expected `str`, got `int`",
        "`story` is missing",
        "`effect` is missing",
        "`requirements` is missing",
        "`kills` is missing",
    ]
