"""The third ring: each mail server does what is known of it against the whole catalogue, and nothing else.

Every target has a mark of its own, so that a selection of them can be run: `pytest -m target_exim`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import docker
from lab.cli.workflow import catalogue
from lab.containers.folder import find_target
from lab.containers.images import lab_image, target_image
from tests.containers.test_third_ring import ours, play, run_of

# Three times what the slowest run of these took on two busy cores (sendmail, 112 s).
pytestmark = [pytest.mark.docker, pytest.mark.timeout(340)]

TARGETS = (
    pytest.param("exim", marks=pytest.mark.target_exim),
    pytest.param("sendmail", marks=pytest.mark.target_sendmail),
)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_does_what_is_known_of_it_and_nothing_else(
    engine: docker.DockerClient, tmp_path: Path, name: str
) -> None:
    lab_image(engine, print)
    target_image(engine, find_target(name), print)
    answer = play(tmp_path, "run", "--json", "--target", name)
    assert answer.out, answer.err
    document = json.loads(answer.out)
    found = [case for case in document["cases"] if case["verdict"] in ("fail", "weak") and not case["supporting"]]
    assert [case["id"] for case in found if not case["known"]] == []
    assert document["deviations"] == {"vanished": [], "unmatched": []}
    counts = document["summary"]["verdicts"]
    assert (counts["inconclusive"], counts["lab-error"]) == (0, 0)
    assert document["summary"]["cases"] == len(catalogue().cases)
    assert answer.status == 0
    run = run_of(tmp_path)
    assert (tmp_path / "runs" / run / "target" / "configuration.txt").read_text()
    assert ours(engine, run) == []


@pytest.mark.target_exim
def test_a_sender_without_mta_sts_never_passes_where_a_policy_is_to_be_kept(tmp_path: Path) -> None:
    """A pass would be a case without teeth: Exim knows no policy, so nothing of this can be its merit."""
    answer = play(tmp_path, "run", "certificate/*", "mx/*", "starttls/*", "--mode", "enforce", "--json",
                  "--target", "exim")  # fmt: skip
    assert answer.out, answer.err
    judged = {case["id"]: case["verdict"] for case in json.loads(answer.out)["cases"] if not case["supporting"]}
    assert len(judged) > 20
    assert "pass" not in judged.values(), judged


@pytest.mark.target_sendmail
def test_the_policies_of_sendmail_live_in_a_daemon_that_can_be_restarted_and_moved_in_time(tmp_path: Path) -> None:
    names = ("policy/cache-survives-restart", "policy/max-age-lapses")
    answer = play(tmp_path, "run", *names, "--mode", "enforce", "--json", "--target", "sendmail")
    assert answer.status == 0, answer.err
    cases = [case for case in json.loads(answer.out)["cases"] if not case["supporting"]]
    assert [case["verdict"] for case in cases] == ["pass", "pass"]
    outcomes = {case["id"]: [step["outcome"] for step in case["steps"]] for case in cases}
    assert outcomes == {
        "policy/cache-survives-restart[enforce]": ["delivered-authenticated", "deferred", None],
        "policy/max-age-lapses[enforce]": ["delivered-authenticated", "deferred", "delivered-unauthenticated", None],
    }
