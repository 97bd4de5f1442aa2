"""The families of a run's world, and the whole way through a run in each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.registry import TargetRefused
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.model import Family
from mta_sts_lab.runs import RunRequest, run
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.families import families_of
from mta_sts_lab.world import network

REFERENCE = find_target("reference")


def test_a_word_names_families() -> None:
    assert families_of("ipv4", REFERENCE) == (Family.IPV4,)
    assert families_of("ipv6", REFERENCE) == (Family.IPV6,)
    assert families_of("both", REFERENCE) == (Family.IPV4, Family.IPV6)
    with pytest.raises(UsageError, match="--family ipv5: it is one of ipv4, ipv6, both"):
        families_of("ipv5", REFERENCE)


def test_a_machine_without_ipv6_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "has_ipv6_loopback", lambda: False)
    assert families_of("", REFERENCE) == (Family.IPV4,)
    for word in ("ipv6", "both"):
        with pytest.raises(TargetRefused, match=f"--family {word}: this machine has no address ::1"):
            families_of(word, REFERENCE)


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
    assert result.record.header.families == families_of(word, REFERENCE)
