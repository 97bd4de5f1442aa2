"""The world of a mail server in Docker stays up, and the commands that are printed enter it."""

from __future__ import annotations

import re

import pytest
from mta_sts_lab.backends.docker.engine import RUN_LABEL

import docker
from tests.cli.conftest import shell
from tests.cli.program import Shell
from tests.cli.worlds import world

__all__ = ["shell"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def test_an_attack_is_in_force(shell: Shell, engine: docker.DockerClient) -> None:
    with world(shell, "up", "starttls/strip[enforce]", "--target", "postfix", longest=300) as up:
        assert "starttls/strip[enforce] is up; in force: strip_starttls" in up.text
        assert up.row("resolver") in up.enter("mail server", "cat", "/etc/resolv.conf")
        assert "BEGIN CERTIFICATE" in up.enter("mail server", "cat", up.row("CA file").split()[0])
        address = up.row("MX").partition(" at ")[2].removesuffix(":25")
        said = up.enter("mail server", "sh", "-c", f"posttls-finger -l may '[{address}]' 2>&1 || true")
        assert re.search(r"220 mx1\S+ ESMTP", said), said
        assert "STARTTLS" not in said.replace("posttls-finger", ""), said
        run = re.search(r"mta-sts-lab-(\S+)-lab", up.row("enter the lab's side"))[1]  # type: ignore[index]
    assert up.status == 0, up.text
    assert not engine.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run}"})
