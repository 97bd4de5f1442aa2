"""`--pcap` in Docker: the lab's container captures what the mail server's container sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.runs import RunRequest, run

import docker
from tests.backends.process.test_pcap import fields, tshark

__all__ = ["tshark"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

CASE = "certificate/swapped-untrusted[enforce]"


def test_policy_and_mail_inside_tls_can_be_read(engine: docker.DockerClient, tmp_path: Path, tshark: str) -> None:
    result = run(RunRequest((CASE,), target="chasquid", out=tmp_path, pcap=True))
    file = result.folder / "captures" / "certificate.swapped-untrusted.enforce.pcapng"
    assert fields(tshark, file, "tls && http.request.uri", "http.request.uri")[0] == ("/.well-known/mta-sts.txt",)
    sides = {side for (side,) in fields(tshark, file, "tls && smtp.req.command", "frame.interface_name")}
    assert "eth0" in sides
    assert sorted(path.suffix for path in (result.folder / "target").iterdir() if "capture" in path.name) == []
