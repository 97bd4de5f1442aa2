"""Configurations of an operator's over Postfix: good ones are judged, of wrong ones it is said what is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.run import run_in_containers
from mta_sts_lab.backends.folder import find_target, with_config
from mta_sts_lab.backends.registry import Job, TargetRefused
from mta_sts_lab.world.pki import Authority

import docker
from tests.backends.docker.test_third_ring import Looking, plan_of
from tests.backends.docker.throw_away import FinishedRun, play
from tests.cli.program import Answer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

GOOD = """compatibility_level = 3.9
myhostname = mx1.example.com
mydestination = $myhostname,
    localhost
smtpd_recipient_restrictions = permit_mynetworks,
    reject_rbl_client zen.example.com
virtual_mailbox_domains = mysql:/etc/postfix/domains.cf
transport_maps = texthash:/etc/postfix/transport
smtp_tls_security_level = may
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix
"""
#: Debian's master.cf, as far as it sends, and a policy plug-in that says nothing to anybody.
MASTER = """smtp inet n - y - - smtpd
pickup unix n - y 60 1 pickup
cleanup unix n - y - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - y 1000? 1 tlsmgr
rewrite unix - - y - - trivial-rewrite
bounce unix - - y - 0 bounce
defer unix - - y - 0 bounce
trace unix - - y - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - y - - smtp
showq unix n - y - - showq
error unix - - y - - error
retry unix - - y - - error
scache unix - - y - 1 scache
postlog unix-dgram n - n - 1 postlogd
policy unix - n n - 0 spawn user=nobody argv=/bin/sleep 600
"""


@pytest.fixture(scope="module", autouse=True)
def _images(engine: docker.DockerClient) -> None:
    lab_image(engine, print)
    target_image(engine, find_target("postfix"), print)


def run(place: Path, main: str, *more: str) -> Answer:
    """Play a scenario against Postfix with this main.cf, a transport table and an authority that signed nothing."""
    folder = place / "postfix"
    folder.mkdir()
    (folder / "main.cf").write_text(main)
    if "private/policy" in main:
        (folder / "master.cf").write_text(MASTER)
    (folder / "ca.pem").write_text(Authority.create().certificate_pem.decode())
    (folder / "transport").write_text("other.example smtp:[203.0.113.9]\n")
    return play(place, "run", "starttls/strip", "--json", "--target", "postfix", "--config", str(folder), *more)


def test_a_good_one_is_judged_and_says_what_was_changed(tmp_path: Path) -> None:
    answer = run(tmp_path, GOOD)
    done = FinishedRun(answer, tmp_path)
    assert (answer.status, done.document["diagnoses"]) == (0, []), answer
    assert done.case("starttls/strip[enforce]")["verdict"] == "pass"
    assert done.document["target"]["name"] == f"postfix with {tmp_path}/postfix"
    claimed = done.document["target"]["capabilities"]
    assert ("mta-sts" in claimed, "tls-rpt" in claimed) == (True, False)
    said = (done.folder / "target" / "kept-and-overridden.txt").read_text().splitlines()
    for line in (
        "kept        smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix",
        "kept        mydestination = $myhostname, localhost",
        "unused      smtpd_recipient_restrictions = permit_mynetworks, reject_rbl_client zen.example.com  "
        "(mail comes in through the lab's own listener)",
        "overridden  myhostname = mx1.example.com -> mta.sender.example  (a name that the lab's DNS knows)",
        "overridden  virtual_mailbox_domains = mysql:/etc/postfix/domains.cf -> (nothing)  "
        "(tables that Postfix here cannot look up)",
    ):
        assert line in said
        assert " ".join(line.split()) in " ".join(answer.err.split())


def test_files_that_were_changed_since_the_run_was_planned_are_refused(tmp_path: Path) -> None:
    main_cf = tmp_path / "main.cf"
    main_cf.write_text(GOOD)
    target = with_config(find_target("postfix"), [str(main_cf)], [])
    plan = replace(plan_of("starttls/strip"), own_files=target.own_files)
    main_cf.write_text(f"{GOOD}\n# edited\n")
    with pytest.raises(TargetRefused, match="the files of --config or --install were changed during the run"):
        run_in_containers(Job(plan, target, Looking(lambda: None).outlet(), tmp_path, say=print))


def test_one_that_postfix_refuses_is_a_wrong_file(tmp_path: Path) -> None:
    answer = run(tmp_path, GOOD + "this is no main.cf\n")
    assert answer.status == 2, answer
    assert "Postfix refuses this configuration: fatal: /etc/postfix/main.cf, line 12: missing '='" in answer.err


@pytest.mark.thorough
def test_a_known_failure_that_a_configuration_cures_is_praised(tmp_path: Path) -> None:
    folder = tmp_path / "postfix"
    folder.mkdir()
    (folder / "main.cf").write_text(GOOD.replace("texthash:/etc/postfix/transport", "") + "soft_bounce = yes\n")
    cases = ("run", "starttls/starttls-refused", "--target", "postfix", "--config", str(folder))
    answer = play(tmp_path, *cases)
    assert answer.status == 0, answer
    assert re.search(r"BETTER +than the shipped postfix", answer.out)
    assert "passes here starttls/starttls-refused[enforce,502]" in answer.out
    assert "DIAGNOSIS" not in answer.out


#: What is wrong, how main.cf says so, and the code. `make test-nightly` plays the first, `make targets` all.
WRONG = {
    "a dead policy socket": (GOOD.replace("8461", "8462"), "policy-plug-in-unreachable"),
    "a policy plug-in that answers nothing": (
        GOOD.replace("inet:127.0.0.1:8461:", "unix:private/policy:"),
        "policy-plug-in-silent",
    ),
    "a policy table that is missing": (
        GOOD.replace("socketmap:inet", "hash:/etc/postfix/tls, socketmap:inet"),
        "table-missing",
    ),
    "a transport table that is missing": (
        GOOD.replace("texthash:/etc/postfix/transport", "hash:/etc/postfix/gone"),
        "table-missing",
    ),
    "a relay host by name": (GOOD + "relayhost = [relay.example.net]:587\n", "next-hop-unreachable"),
    "a relay host by address": (GOOD + "relayhost = [203.0.113.9]\n", "next-hop-unreachable"),
    "a closed port": (GOOD + "default_transport = smtp:[127.0.0.1]:10025\n", "next-hop-unreachable"),
    "encrypt": (GOOD.replace("= may", "= encrypt"), "tls-demanded-of-all"),
    "dane-only": (GOOD.replace("= may", "= dane-only"), "dane-demanded-of-all"),
    "no authorities": (GOOD.replace("smtp_tls_CApath = /etc/ssl/certs\n", ""), "ca-not-trusted"),
    "a file of authorities that is missing": (
        GOOD.replace("CApath = /etc/ssl/certs", "CAfile = /etc/postfix/gone.pem"),
        "ca-file-unusable",
    ),
    "another authority": (GOOD.replace("CApath = /etc/ssl/certs", "CAfile = /etc/postfix/ca.pem"), "ca-not-trusted"),
    "a level that there is not": (GOOD.replace("= may", "= bogus"), "program-ends"),
    "a transport that master.cf does not have": (GOOD + "default_transport = nowhere:\n", "service-missing"),
}


@pytest.mark.parametrize(
    "wrong", [pytest.param(name, marks=[] if not number else pytest.mark.thorough) for number, name in enumerate(WRONG)]
)
def test_each_mistake_of_a_configuration_is_named(tmp_path: Path, wrong: str) -> None:
    main, code = WRONG[wrong]
    answer = run(tmp_path, main)
    done = FinishedRun(answer, tmp_path)
    (first, *_) = done.document["diagnoses"]
    assert first["code"] == code, answer.err
    assert re.search(rf"diagnosis: .+? \({code}\)", " ".join(answer.err.split())), answer.err
    assert answer.status in (1, 4)
    assert "198.18.0.0/15, reserved for benchmarks" not in answer.err
    assert done.case("starttls/strip[enforce]")["verdict"] != "pass" or code == "tls-demanded-of-all"
    log = (done.folder / "target" / "log.txt").read_text()
    assert first["quoted"][:60] in log or code == "tls-demanded-of-all"
    # Of a message that is still being delivered there are no words.
    assert bool(first["quoted"]) is (code != "policy-plug-in-silent")
