"""Containers whose world has IPv6 addresses: Postfix in them, and that they have no way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.engine import RUN_LABEL
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.record_reading import read_record

import docker
from tests.backends.docker.throw_away import FinishedRun, play
from tests.cli.conftest import shell
from tests.cli.program import Shell
from tests.cli.worlds import world

__all__ = ["shell"]

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


DIAL = """
import errno, socket, sys
for address, port in zip(sys.argv[1::2], sys.argv[2::2]):
    sock = socket.socket(socket.AF_INET6)
    sock.settimeout(6)
    try:
        sock.connect((address, int(port)))
    except OSError as error:
        print(errno.errorcode.get(error.errno, type(error).__name__))
    else:
        print("connected")
"""

#: The real Internet, a documentation address of no run, addresses of private networks, and all nodes of the link.
OUTSIDE = ("2606:4700:4700::1111", "2001:db8:ffff::1", "fd00::1", "fec0::1", "ff02::1")


def test_a_target_has_no_way_out_over_ipv6(shell: Shell, engine: docker.DockerClient) -> None:
    with world(shell, "up", "starttls/strip[absent]", "--target", "reference-docker", "--family", "both") as up:
        run = re.search(r"mta-sts-lab-(\S+)-lab", up.row("enter the lab's side"))[1]  # type: ignore[index]
        assert engine.networks.get(f"mta-sts-lab-{run}").attrs["EnableIPv6"] is False, (
            "this machine has no address in it"
        )
        parts = engine.containers.list(filters={"label": f"{RUN_LABEL}={run}"})
        assert len(parts) == 2, "the mail server and the lab"
        for part in parts:

            def told(*command: str, part: Any = part) -> list[str]:
                return str(part.exec_run(list(command)).output.decode()).splitlines()

            shown = [line.split()[3].partition("/")[0] for line in told("ip", "-6", "-o", "addr", "show", "eth0")]
            assert len(shown) == 1, "one address, and none of the link's own (fe80::)"
            assert shown[0].startswith("2001:db8:")
            dialled = [word for address in OUTSIDE for word in (address, "53")]
            assert told("/opt/venv/bin/python", "-c", DIAL, *dialled) == ["ENETUNREACH"] * len(OUTSIDE)
            assert not [one for one in told("ip", "-6", "route") if one.startswith(("default", "fe80", "::/0"))]
            (itself,) = told("/opt/venv/bin/python", "-c", DIAL, shown[0], "8025")
            assert itself in ("connected", "ECONNREFUSED"), "the probe itself works over IPv6"
    assert up.status == 0, up.text
