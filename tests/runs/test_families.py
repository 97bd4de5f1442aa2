"""The families of a run's world, and the whole way through a run in each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.registry import TargetRefused
from mta_sts_lab.backends.target_folder import TargetFile, TargetFolder
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.model.world import Family
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.runs import RunRequest, run
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.families import in_families
from mta_sts_lab.world import network

REFERENCE = find_target("reference")
PLAN = plan_run((), {}, (), 7)


#: The families of ordinary hosts, and whether the hosts of cases that need it have both.
WORLDS = {
    "": ((Family.IPV4,), True),
    "ipv4": ((Family.IPV4,), False),
    "ipv6": ((Family.IPV6,), False),
    "both": ((Family.IPV4, Family.IPV6), True),
}


def _families(word: str) -> tuple[tuple[Family, ...], bool]:
    planned = in_families(PLAN, word, REFERENCE)
    return planned.families, planned.dual_stack


@pytest.mark.parametrize("word", WORLDS)
def test_a_word_names_families(word: str) -> None:
    assert _families(word) == WORLDS[word]


def test_another_word_names_none() -> None:
    with pytest.raises(UsageError, match="--family ipv5: it is one of ipv4, ipv6, both"):
        _families("ipv5")


def test_a_target_that_does_not_say_so_is_not_given_both_unasked() -> None:
    assert in_families(PLAN, "", find_target("haraka")).dual_stack is False
    assert in_families(PLAN, "both", find_target("haraka")).dual_stack is True


def test_a_backend_without_ipv6_says_so(tmp_path: Path) -> None:
    file = TargetFile(name="joined", title="", description="", backend="joined")
    with pytest.raises(
        TargetRefused, match=r"--family ipv6: `sts-lab serve` joins a network of yours, and gives .* IPv4"
    ):
        in_families(PLAN, "ipv6", TargetFolder(tmp_path, file))


def test_a_machine_without_ipv6_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "has_ipv6_loopback", lambda: False)
    assert _families("") == ((Family.IPV4,), False)
    for word in ("ipv6", "both"):
        with pytest.raises(TargetRefused, match=f"--family {word}: this machine has no address ::1"):
            _families(word)


@pytest.mark.parametrize(
    ("word", "peers", "blocks"),
    [
        ("ipv4", {"127.0.0.1"}, {"198.18"}),
        ("ipv6", {"::1"}, {"2001:d"}),
        # The sender goes on to the other address of a host at which TLS is stripped.
        ("both", {"127.0.0.1", "::1"}, {"198.18", "2001:d"}),
    ],
)
def test_a_run_in_each_family(tmp_path: Path, word: str, peers: set[str], blocks: set[str]) -> None:
    result = run(RunRequest(("starttls/strip[enforce]",), out=tmp_path, family=word))
    assert {verdict.grade.value for verdict in result.verdicts} == {"pass"}
    accepted = [event.fact for event in result.record.events if isinstance(event.fact, ConnectionAccepted)]
    met = [fact for fact in accepted if not fact.via]
    assert {fact.peer for fact in met} == peers
    assert {fact.address[: len(min(blocks))] for fact in met} == blocks
    assert result.record.header.families == WORLDS[word][0]


@pytest.mark.parametrize(("word", "grade"), [("", "pass"), ("ipv4", "unsupported"), ("ipv6", "unsupported")])
def test_a_case_about_both_families(tmp_path: Path, word: str, grade: str) -> None:
    result = run(RunRequest(("mx/one-family-dead[enforce,ipv6]",), out=tmp_path, family=word))
    assert {verdict.grade.value for verdict in result.verdicts} == {grade}
    if grade == "unsupported":
        told = {judgement.observed for verdict in result.verdicts for judgement in verdict.judgements}
        assert told == {"the hosts of this run have addresses in one family alone"}
