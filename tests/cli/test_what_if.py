"""`sts-lab what-if` as it is typed: played against the reference sender, correct and flawed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Shell

POLICY = "version: STSv1\nmode: enforce\nmx: mx1.example.org\nmax_age: 604800\n"


@pytest.fixture
def policy(shell: Shell) -> Path:
    path = shell.folder / "mta-sts.txt"
    path.write_text(POLICY, encoding="utf-8")
    (shell.folder / "new.txt").write_text(POLICY.replace("mx1", "mx2"), encoding="utf-8")
    return path


def by_name(document: str) -> dict[tuple[str, str], Any]:
    return {(one["question"], one["host"] or one["attack"]): one for one in json.loads(document)["answers"]}


def test_hosts_update_and_attacks(shell: Shell, policy: Path) -> None:
    answer = shell("what-if", "--policy", "mta-sts.txt", "--mx", "mx1.example.org,mx2.example.org", "--then", "new.txt")
    told = " ".join(answer.out.split())
    assert answer.status == 1
    assert "Mail to mx1.example.org is delivered, inside TLS and under a valid certificate." in told
    assert "Mail to mx2.example.org waits from the moment you publish it: no mx line matches it." in told
    assert "Mail to mx1.example.org waits from the moment you publish the new policy: no mx line matches it." in told
    assert told.count("the mail waits, and arrives when the attack is over.") == 4
    (folder,) = shell.runs()
    cases = json.loads((folder / "verdicts.json").read_text())["cases"]
    assert {case["verdict"] for case in cases} == {"pass"}, "the sender did as the RFC demands"
    again = shell("judge", folder.name)
    assert "no verdict changed" in again.out


def test_every_host_is_listed(shell: Shell, policy: Path) -> None:
    answer = shell("what-if", "--policy", "mta-sts.txt", "--mx", "mx1.example.org", "--json")
    assert answer.status == 0
    assert by_name(answer.out)["publish", "mx1.example.org"]["outcome"] == "delivered-authenticated"
    assert by_name(answer.out)["attack", "strip"]["outcome"] == "deferred"


def test_a_sender_that_ignores_the_policy(shell: Shell, policy: Path) -> None:
    answer = shell(
        "what-if",
        "--policy",
        "mta-sts.txt",
        "--mx",
        "mx2.example.org,mx1.example.org",
        "--flaw",
        "ignores_policy",
        "--json",
    )
    assert answer.status == 1
    told = by_name(answer.out)
    assert told["publish", "mx2.example.org"]["as_demanded"] is False
    assert told["attack", "strip"]["outcome"] == "delivered-clear"
    assert "is wrong of this mail server" in told["attack", "strip"]["says"]


def test_a_sender_that_keeps_mail_back_under_testing(shell: Shell, policy: Path) -> None:
    policy.write_text(POLICY.replace("enforce", "testing"), encoding="utf-8")
    answer = shell(
        "what-if", "--policy", "mta-sts.txt", "--mx", "mx1.example.org", "--flaw", "testing_as_enforce", "--json"
    )
    assert answer.status == 1
    told = by_name(answer.out)
    assert told["publish", "mx1.example.org"]["as_demanded"] is True
    assert told["attack", "strip"]["as_demanded"] is False
    assert "Nothing asks this mail server for that (RFC 8461, section 5: STS-5-05)" in told["attack", "strip"]["says"]


def test_a_policy_that_cannot_be_used(shell: Shell, policy: Path) -> None:
    policy.write_text(POLICY.replace("max_age", "max-age"), encoding="utf-8")
    answer = shell("what-if", "--policy", "mta-sts.txt", "--mx", "mx1.example.org")
    assert answer.status == 1
    told = " ".join(answer.out.split())
    assert "Senders cannot use this policy (there is no max_age): it protects nobody." in told
    assert "If somebody attacks (no sender can use the policy)" in told
    assert "the attacker reads the mail" in told


def test_a_policy_that_senders_forget_at_once(shell: Shell, policy: Path) -> None:
    policy.write_text(POLICY.replace("604800", "0"), encoding="utf-8")
    same = ("--record", "v=STSv1; id=1", "--then", "new.txt")
    answer = shell("what-if", "--policy", "mta-sts.txt", "--mx", "mx1.example.org", *same)
    told = " ".join(answer.out.split())
    assert answer.status == 0
    assert "is wrong of this mail server" not in told
    assert "Senders forget this policy 0 s after they fetched it." in told
    assert "The update is not played" in told
    assert "announces a new policy" not in told


def test_what_cannot_be_played(shell: Shell, policy: Path) -> None:
    assert "no MX hosts" in shell("what-if", "--policy", "mta-sts.txt", "--mx", ",").message(2)
    assert "cannot be read" in shell("what-if", "--policy", "gone.txt", "--mx", "a.example").message(2)
    assert "at most 12" in shell(
        "what-if", "--policy", "mta-sts.txt", "--mx", ",".join(f"h{n}.example" for n in range(13))
    ).message(2)
    policy.write_bytes(b"\xff\x00")
    assert "policy-check" in shell("what-if", "--policy", "mta-sts.txt", "--mx", "a.example").message(2)
    assert shell.runs() == []
