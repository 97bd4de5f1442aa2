"""The lab joins a network on which containers of somebody's own are, and plays against one of them."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.record_reading import read_record

import docker
from tests.backends.docker.throw_away import compose
from tests.backends.process.test_pcap import fields, tshark
from tests.cli.conftest import shell
from tests.cli.program import ROOT, Shell, end, start, until

__all__ = ["shell", "tshark"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

CONTAINER = "own-stack-mta"


@pytest.fixture
def network(engine: docker.DockerClient) -> Iterator[str]:
    """A network as an engine makes it: neither internal, nor with addresses of the lab's."""
    made = engine.networks.create(f"mta-sts-lab-test-{secrets.token_hex(4)}")
    yield made.name
    made.remove()


class Stack:
    """The project of two services that is shown in the documents, in which our Postfix stands for the user's."""

    def __init__(self, engine: docker.DockerClient, network: str, folder: Path, image: str = "") -> None:
        shutil.copy(ROOT / "docs" / "examples" / "own-stack" / "compose.yaml", folder)
        self._folder = folder
        self._command = [*compose(), "--project-name", f"mta-sts-lab-test-{secrets.token_hex(4)}"]
        subnet = engine.networks.get(network).attrs["IPAM"]["Config"][0]["Subnet"]
        image = image or target_image(engine, find_target("postfix"), print)
        self._environment = {**os.environ, "MAIL_NETWORK": network, "MAIL_SUBNET": subnet, "MTA_IMAGE": image}

    def __call__(self, *arguments: str) -> None:
        command = [*self._command, *arguments]
        subprocess.run(command, cwd=self._folder, env=self._environment, capture_output=True, check=True, timeout=200)


def _captured(folder: Path, case: str, tshark: str) -> set[str]:
    """Return at which interfaces mail that went inside TLS can be read in the capture of a case."""
    file = folder / "captures" / f"{case}.pcapng"
    return {side for (side,) in fields(tshark, file, "tls && smtp.req.command", "frame.interface_name")}


@dataclass(frozen=True)
class Served:
    """What `sts-lab serve` printed while a project came up, how it ended, and the routes of its mail server then."""

    document: dict[str, Any]
    said: str
    status: int
    routes: str


def _served(engine: docker.DockerClient, stack: Stack, network: str, folder: Path, *arguments: str) -> Served:
    options = ("--network", network, "--container", CONTAINER, "--ca", "ca.pem", "--json")
    said = folder / "said.txt"
    with said.open("wb") as stream:
        command = [sys.executable, "-m", "mta_sts_lab", "serve", *options, *arguments]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=stream)
    try:
        until(process, lambda: f"waiting until the container {CONTAINER} is up" in said.read_text())
        stack("up", "--detach")
        out, _ = process.communicate(timeout=400)
        routes = engine.containers.get(CONTAINER).exec_run(["cat", "/proc/net/route"]).output.decode()
    finally:
        process.kill()
        stack("down", "--volumes")
    return Served(json.loads(out), said.read_text(), process.returncode, routes)


def test_it_plays_when_the_container_is_up(
    shell: Shell, engine: docker.DockerClient, network: str, tshark: str
) -> None:
    lab_image(engine, print)
    stack = Stack(engine, network, shell.folder)
    served = _served(engine, stack, network, shell.folder, "--pcap", "starttls/strip", "mx/forged-mx")
    assert "resolver   198.19.0.1" in served.said
    assert f"CA file    {shell.folder / 'ca.pem'}" in served.said
    assert served.status == 1, "no known failures are compared with: what our Postfix reports untruly is news"
    verdicts = {case["id"]: case["verdict"] for case in served.document["cases"]}
    # Its reports are late, which is worth an `info`.
    assert {verdicts["starttls/strip[enforce]"], verdicts["mx/forged-mx[enforce]"]} <= {"pass", "info"}
    (folder,) = shell.runs()
    about = read_record(folder / "record.jsonl").header.about
    assert about.name == "postfix", "its hooks could be reached"
    assert "eth0" in _captured(folder, "starttls.strip.enforce", tshark)
    kept = [path.name for path in (folder / "target").iterdir() if "capture" in path.name or "secrets" in path.name]
    assert kept == []
    assert "000013C6" not in served.routes, "the route to 198.19.0.0 was taken away"
    names = [one.name for one in engine.containers.list(all=True) if folder.name in one.name]
    assert names == []


@pytest.mark.thorough
def test_one_whose_hooks_cannot_be_reached_is_a_black_box(
    shell: Shell, engine: docker.DockerClient, network: str
) -> None:
    lab_image(engine, print)
    postfix = target_image(engine, find_target("postfix"), print)
    # Its hooks are at a port that nobody asks.
    moved = f'FROM {postfix}\nRUN sed -i \'s/"8025"/"8026"/\' /opt/mta-sts-lab/services.toml\n'
    image, _ = engine.images.build(fileobj=io.BytesIO(moved.encode()), rm=True, forcerm=True)
    try:
        stack = Stack(engine, network, shell.folder, str(image.id))
        options = ("--claims", "mta-sts", "--retry", "3")
        served = _served(engine, stack, network, shell.folder, *options, "starttls/strip")
    finally:
        engine.images.remove(image.id, force=True)
    (folder,) = shell.runs()
    about = read_record(folder / "record.jsonl").header.about
    assert (about.name, about.capabilities) == (CONTAINER, ("mta-sts",))
    verdicts = {case["id"]: case["verdict"] for case in served.document["cases"]}
    assert verdicts["starttls/strip[enforce]"] == "pass", served
    assert served.status == 0


def test_what_is_not_there(shell: Shell, engine: docker.DockerClient, network: str) -> None:
    nowhere = shell("serve", "--network", "nowhere", "--container", "mta", "starttls/strip").message(3)
    assert "there is no network 'nowhere'; there are " in nowhere
    process = start(shell.folder, "serve", "--network", network, "--container", "nobody", "starttls/strip")
    assert process.stderr is not None
    line = b""
    while b"waiting until the container nobody is up" not in line:
        line = process.stderr.readline()
        assert line
    process.send_signal(2)
    assert "nothing was played yet" in end(process).message(130)
    other = engine.networks.create(f"mta-sts-lab-test-{secrets.token_hex(4)}")
    away = engine.containers.run(lab_image(engine, print), entrypoint=["sleep", "60"], network=other.name, detach=True)
    try:
        answer = shell("serve", "--network", network, "--container", away.name, "starttls/strip")
        assert f"the container {away.name} is not on the network {network}" in answer.err
        assert answer.status == 3
    finally:
        away.remove(force=True)
        other.remove()


def test_the_lab_is_a_service_of_the_project(engine: docker.DockerClient, tmp_path: Path, tshark: str) -> None:
    example = (ROOT / "docs" / "examples" / "lab-service" / "compose.yaml").read_text()
    assert "cap_add: [NET_ADMIN, NET_BIND_SERVICE]" in example
    (tmp_path / "compose.yaml").write_text(
        example.replace("[NET_ADMIN, NET_BIND_SERVICE]", "[NET_ADMIN, NET_BIND_SERVICE, NET_RAW]")
    )
    command = [*compose(), "--project-name", f"mta-sts-lab-test-{secrets.token_hex(4)}"]
    third = secrets.randbelow(256)
    environment = {
        **os.environ,
        "MAIL_SUBNET": f"172.31.{third}.0/24",
        "LAB_ADDRESS": f"172.31.{third}.2",
        "LAB_IMAGE": lab_image(engine, print),
        "MTA_IMAGE": target_image(engine, find_target("postfix"), print),
        "ARGUMENTS": "--pcap starttls/strip mx/forged-mx",
    }
    try:
        done = subprocess.run(
            [*command, "up", "--no-color", "--exit-code-from", "lab"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    finally:
        subprocess.run([*command, "down", "--volumes"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    folders = list((tmp_path / "runs").glob("*/"))
    assert len(folders) == 1, done.stdout[-2000:] + done.stderr[-2000:]
    document = json.loads((folders[0] / "verdicts.json").read_text())
    verdicts = {case["id"]: case["verdict"] for case in document["cases"]}
    assert {verdicts["starttls/strip[enforce]"], verdicts["mx/forged-mx[enforce]"]} <= {"pass", "info"}
    assert done.returncode == document["exit"]["code"]
    assert read_record(folders[0] / "record.jsonl").header.about.name == "postfix"
    assert "eth0" in _captured(folders[0], "starttls.strip.enforce", tshark)


def test_on_a_machine_itself_there_is_no_way_in(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mta_sts_lab.backends.joined.inside.CONTAINER_MARKS", ("/no/such/file",))
    assert "--at is for the lab as a container" in shell("serve", "--at", "mta", "starttls/strip").message(2)
    assert "where is the mail server?" in shell("serve", "starttls/strip").message(2)
    assert "where is the mail server?" in shell("serve", "--network", "mail", "starttls/strip").message(2)
    assert shell.runs() == []
