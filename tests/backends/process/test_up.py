"""Worlds that stay up: how to enter them is printed and works, and Ctrl-C leaves nothing."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from mta_sts_lab.record_reading import read_record

from tests.backends.process.sandbox import TOY_SENDER
from tests.cli.program import Shell
from tests.cli.worlds import world

pytestmark = pytest.mark.namespaces

TOY = ("--command", shlex.join([sys.executable, str(TOY_SENDER / "toy_sender.py")]), "--smtp", "2525")

#: Talks to the MX host from inside, and prints whether it offers STARTTLS.
ASK_MX = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=20) as session:
    session.ehlo("here.example")
    print("STARTTLS" if session.has_extn("starttls") else "no STARTTLS")
"""


def test_an_attack_is_in_force(shell: Shell, namespaces: None) -> None:
    with world(shell, "up", "starttls/strip[enforce]", *TOY) as up:
        assert "starttls/strip[enforce] is up; in force: strip_starttls" in up.text
        assert up.row("resolver") in up.enter("mail server", "cat", "/etc/resolv.conf")
        assert "BEGIN CERTIFICATE" in up.enter("mail server", "cat", up.row("CA file").split()[0])
        (host, address) = re.fullmatch(r"(\S+) at (\S+):25", up.row("MX")).groups()  # type: ignore[union-attr]
        assert host.endswith(up.row("domain"))
        assert up.enter("mail server", sys.executable, "-c", ASK_MX, address) == "no STARTTLS\n"
        assert up.enter("lab", sys.executable, "-c", ASK_MX, address) == "no STARTTLS\n", "the attack is on every path"
        assert up.row("takes mail").startswith("127.0.0.1:2525")
        target = int(re.search(r"--target=(\d+)", up.row("enter the mail server's side"))[1])  # type: ignore[index]
    assert up.status == 0, up.text
    assert not Path(f"/proc/{target}").exists()
    assert shell.left() == ["said.txt"]


def test_a_case_is_kept_up_and_judged_afterwards(shell: Shell, namespaces: None) -> None:
    with world(shell, "run", "starttls/strip[testing]", "--keep", *TOY) as up:
        assert "starttls/strip[testing] is up; no attack is in force" in up.text
        address = up.row("MX").partition(" at ")[2].removesuffix(":25")
        assert up.enter("mail server", sys.executable, "-c", ASK_MX, address) == "STARTTLS\n"
    assert up.status == 0, up.text
    assert "1 case: 1 pass." in up.text
    (folder,) = shell.runs()
    record = read_record(folder / "record.jsonl")
    assert record.footer.complete, "what was done in the world afterwards is no part of it"


def test_what_cannot_stay_up(shell: Shell) -> None:
    assert "reference runs inside of this program" in shell("up", "starttls/strip", "--target", "reference").message(2)
    assert "reference runs inside" in shell("run", "starttls/strip[enforce]", "--keep").message(2)
    assert "--keep is for one case and one target" in shell("run", "--keep", *TOY).message(2)
    assert "more than one scenario" in shell("up", "starttls/*", *TOY).message(5)
    assert "`strip` matches no case" in shell("up", "strip", *TOY).message(5)
    assert shell.left() == []
