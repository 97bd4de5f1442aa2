"""Containers whose world has IPv6 addresses: Postfix in them, and that they have no way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.run import run_in_containers
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.record import read_record
from mta_sts_lab.runs.families import in_families

import docker
from tests.backends.docker.test_third_ring import Looking, container, plan_of
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


def test_a_target_has_no_way_out_over_ipv6(engine: docker.DockerClient, tmp_path: Path) -> None:
    folder = find_target("reference-docker")
    plan = in_families(plan_of("starttls/strip[absent]"), "both", folder)
    found: dict[str, Any] = {}

    def look() -> None:
        for part in ("target", "lab"):
            inside = container(engine, plan, part)

            def told(*command: str, inside: Any = inside) -> list[str]:
                return str(inside.exec_run(list(command)).output.decode()).splitlines()

            addresses = [line.split()[3].partition("/")[0] for line in told("ip", "-6", "-o", "addr", "show", "eth0")]
            found[part] = addresses
            found[f"{part} routes"] = told("ip", "-6", "route")
            dialled = [word for address in OUTSIDE for word in (address, "53")]
            found[f"{part} outside"] = told("/opt/venv/bin/python", "-c", DIAL, *dialled)
        found["self"] = (
            container(engine, plan, "target")
            .exec_run(["/opt/venv/bin/python", "-c", DIAL, found["target"][0], "8025"])
            .output.decode()
            .strip()
        )
        found["network"] = engine.networks.get(f"mta-sts-lab-{plan.run}").attrs

    looking = Looking(look)
    run_in_containers(Job(plan, folder, looking.outlet(), tmp_path, say=print))
    assert looking.done
    assert found["network"]["EnableIPv6"] is False, "the engine gives this machine no address in it"
    for part in ("target", "lab"):
        assert len(found[part]) == 1, "one address, and none of the link's own (fe80::)"
        assert found[part][0].startswith("2001:db8:")
        assert set(found[f"{part} outside"]) == {"ENETUNREACH"}, found[f"{part} outside"]
        assert len(found[f"{part} outside"]) == len(OUTSIDE)
        assert not [route for route in found[f"{part} routes"] if route.startswith(("default", "fe80", "::/0"))]
    assert found["self"] in ("connected", "ECONNREFUSED"), "the probe itself works over IPv6"
