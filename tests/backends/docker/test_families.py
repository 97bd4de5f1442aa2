"""Postfix in a container whose world has IPv6 addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.record import read_record

import docker
from tests.backends.docker.throw_away import FinishedRun, play

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

DELIVERED = "mx/one-family-dead[enforce,ipv4]"


@pytest.mark.parametrize(
    ("family", "blocks"), [("ipv6", ("2001:db8:",)), ("both", ("2001:db8:", "198.18.", "198.19."))]
)
def test_postfix_in_a_world_with_ipv6(
    engine: docker.DockerClient, tmp_path: Path, family: str, blocks: tuple[str, ...]
) -> None:
    lab_image(engine, print)
    target_image(engine, find_target("postfix"), print)
    selected = ("starttls/strip[enforce]", DELIVERED)
    run = FinishedRun(play(tmp_path, "run", "--json", "--target", "postfix", "--family", family, *selected), tmp_path)
    assert run.case("starttls/strip[enforce]")["verdict"] in ("pass", "info")
    assert run.case(DELIVERED)["verdict"] == ("pass" if family == "both" else "unsupported")
    facts = [event.fact for event in read_record(run.folder / "record.jsonl").events]
    met = [fact for fact in facts if isinstance(fact, ConnectionAccepted) and not fact.via]
    for seen in ({fact.address for fact in met}, {fact.peer for fact in met}):
        assert all(one.startswith(blocks) for one in seen)
        assert any(one.startswith(blocks[0]) for one in seen)
