"""Configurations of an operator's over Postfix: good ones are judged, of wrong ones it is said what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target

import docker
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


@pytest.fixture(scope="module", autouse=True)
def _images(engine: docker.DockerClient) -> None:
    lab_image(engine, print)
    target_image(engine, find_target("postfix"), print)


def run(place: Path, main: str, *more: str) -> Answer:
    """Play a scenario against Postfix with this main.cf and a transport table."""
    folder = place / "postfix"
    folder.mkdir()
    (folder / "main.cf").write_text(main)
    (folder / "transport").write_text("other.example smtp:[203.0.113.9]\n")
    return play(place, "run", "starttls/strip", "--json", "--target", "postfix", "--config", str(folder), *more)


def test_a_good_one_is_judged_and_says_what_was_changed(tmp_path: Path) -> None:
    answer = run(tmp_path, GOOD)
    done = FinishedRun(answer, tmp_path)
    assert (answer.status, done.document["diagnoses"]) == (0, []), answer
    assert done.case("starttls/strip[enforce]")["verdict"] == "pass"
    assert done.document["target"]["name"] == f"postfix with {tmp_path}/postfix"
    assert done.document["target"]["capabilities"] == ["mta-sts"]
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


#: What is wrong, how main.cf says so, and the code. The first is played in continuous integration, `make targets` plays all.
WRONG = {
    "a dead policy socket": (GOOD.replace("8461", "8462"), "policy-plug-in-unreachable"),
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
        GOOD.replace("CApath = /etc/ssl/certs", "CAfile = /etc/postfix/ca.pem"),
        "ca-file-unusable",
    ),
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
    assert (first["code"], bool(first["quoted"])) == (code, True), answer.err
    assert re.search(rf"diagnosis: [^:]+ \({code}\)", " ".join(answer.err.split())), answer.err
    assert answer.status in (1, 4)
    assert done.case("starttls/strip[enforce]")["verdict"] != "pass" or code == "tls-demanded-of-all"
    assert first["quoted"][:60] in (done.folder / "target" / "log.txt").read_text() or code == "tls-demanded-of-all"
