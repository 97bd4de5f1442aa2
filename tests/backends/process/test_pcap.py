"""`--pcap`: captures that Wireshark reads, with the mail inside TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from mta_sts_lab.events import CaseBegan, MessageInjected
from mta_sts_lab.runs import RunRequest, merge, run

from tests.backends.process.conftest import REQUIRED
from tests.backends.process.sandbox import Sandbox, toy_sender

pytestmark = pytest.mark.namespaces

CASE = "certificate/swapped-untrusted[enforce]"


@pytest.fixture
def tshark() -> str:
    found = shutil.which("tshark")
    if found is None and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, and there is no tshark: apt-get install tshark", pytrace=False)
    return found or pytest.skip("there is no tshark")


def fields(tshark: str, file: Path, shown: str, *names: str) -> list[tuple[str, ...]]:
    """Return some fields of the packets that a display filter shows. Doors behind attackers have any port."""
    connecting = "ip.dst == 127.0.0.1 && tcp.flags.syn == 1 && tcp.flags.ack == 0"
    ports = {port for (port,) in read(tshark, file, connecting, "tcp.dstport")}
    return read(
        tshark, file, shown, *names, decode=[word for port in ports for word in ("-d", f"tcp.port=={port},smtp")]
    )


def read(tshark: str, file: Path, shown: str, *names: str, decode: Sequence[str] = ()) -> list[tuple[str, ...]]:
    options = [word for name in names for word in ("-e", name)]
    command = [tshark, "-r", str(file), *decode, "-Y", shown, "-T", "fields", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def test_each_case_has_both_sides_with_the_mail_inside_tls(
    sandbox: Sandbox, ordinary: None, tmp_path: Path, tshark: str
) -> None:
    target = sandbox.target(toy_sender())
    result = run(RunRequest((CASE,), unnamed_target=target, out=tmp_path / "runs", pcap=True))
    captures = sorted(path.name for path in (result.folder / "captures").iterdir())
    assert captures == [f"certificate.swapped-untrusted.{mode}.pcapng" for mode in ("absent", "enforce")]
    # The capture of the whole run is gone.
    assert not [path.name for path in (result.folder / "target").iterdir() if path.suffix == ".pcapng"]
    file = result.folder / "captures" / captures[1]
    inside = fields(tshark, file, "tls && smtp.req.command == rcpt", "frame.interface_name", "smtp.req.parameter")
    events = result.record.judged_events()[CASE]
    tokens = [event.fact.token for event in events if isinstance(event.fact, MessageInjected)]
    assert len(tokens) == 2
    # The first message goes to the genuine host, the second through the attacker: on both sides of it inside TLS.
    assert [(side, token) for side, text in inside for token in tokens if token in text] == [
        ("lab", tokens[0]),
        ("lab", tokens[1]),
        ("lo", tokens[1]),
    ]
    # Names of other cases are not in it.
    (domain,) = {event.fact.domain for event in events if isinstance(event.fact, CaseBegan)}
    assert all(name.endswith(domain) for (name,) in fields(tshark, file, "dns", "dns.qry.name"))
    merged = merge([result.folder], tmp_path / "merged")
    assert (merged.folder / "captures" / file.name).read_bytes() == file.read_bytes()
