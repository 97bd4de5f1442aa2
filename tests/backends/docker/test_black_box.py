"""Real mail servers seen from outside only: the same outcomes and verdicts as with all their hooks, but for what those are for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.throw_away import play

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

SELECTION = (
    "starttls/strip",
    "starttls/handshake-dropped",
    "certificate/swapped-untrusted",
    "mx/forged-mx",
    "policy/cache-survives-restart[enforce]",
)

#: What is held with a policy and without one: only the queue would say that the reasons differ, and it is not looked at.
HELD_EITHER_WAY = {("sendmail", "starttls/handshake-dropped[enforce]")}


def cases(place: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the judged cases of a run by their ids."""
    answer = play(place, "run", *SELECTION, "--json", *arguments, longest=300)
    assert answer.status in (0, 1, 4), answer.err
    return {case["id"]: case for case in json.loads(answer.out)["cases"]}


def outcomes(case: dict[str, Any]) -> list[str]:
    return [step["outcome"] for step in case["steps"]]


# Each as the makers of its packages left it; Postfix claims reports, sendmail does not.
@pytest.mark.parametrize(
    "target",
    [
        "postfix",
        pytest.param("sendmail", marks=pytest.mark.thorough),
        pytest.param("courier-sts-cache", marks=pytest.mark.thorough),
    ],
)
def test_it_fares_as_it_does_when_it_shows_itself(tmp_path: Path, target: str) -> None:
    seen = cases(tmp_path / "seen", "--target", target)
    hidden = cases(tmp_path / "hidden", "--target", target, "--black-box")
    assert seen.keys() == hidden.keys()
    for name, case in hidden.items():
        reasons = {one["reason"] for one in case["judgements"] if one["result"] != "pass"}
        if "restart" in name:
            assert (case["verdict"], reasons) == ("unsupported", {"not-offered"})
            continue
        assert outcomes(case) == outcomes(seen[name]), name
        if (target, name) in HELD_EITHER_WAY:
            assert (case["verdict"], reasons) == ("inconclusive", {"held-as-in-control-case"})
            continue
        if "reports-not-asked-for" in reasons:
            assert case["verdict"] == "info", "never a pass where something was not looked at"
            continue
        assert case["verdict"] == seen[name]["verdict"], name


@pytest.mark.thorough
@pytest.mark.timeout(2400)
def test_one_that_pauses_for_minutes_is_waited_for(tmp_path: Path) -> None:
    """chasquid left to itself: its third attempt comes after eight minutes at the latest, the fourth eleven later.

    It forgets levels of security at a start only, and nobody starts it here: so it holds without a policy as well.
    """
    arguments = ("run", "starttls/strip", "--json", "--black-box", "--target", "chasquid-policy-only")
    answer = play(tmp_path, *arguments, longest=2300)
    found = json.loads(answer.out)["cases"]
    assert {case["id"]: outcomes(case)[1] for case in found} == {case["id"]: "deferred" for case in found}, answer.err
    reasons = {one["reason"] for case in found for one in case["judgements"]}
    assert "not-settled" not in reasons
    # It holds without a policy, too, and a black box has no queue that says why.
    assert {case["mode"]: case["verdict"] for case in found} == {
        "enforce": "inconclusive",
        "testing": "weak",
        "none": "weak",
        "absent": "weak",
    }
    assert "held-as-in-control-case" in reasons
