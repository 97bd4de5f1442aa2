"""What is wrong with a configuration, by the mail server's own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from mta_sts_lab.adapter_check.diagnosis import Diagnosis, diagnosed, held_without_a_policy, read_diagnoses
from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status
from mta_sts_lab.adapter_check.probes import HONEST, POLICY
from mta_sts_lab.events import Event, QueueSeen
from mta_sts_lab.model.target import About
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.contract import TargetError

SEEN = Finding("special addresses", Status.FAULT, "no connection came", "no-connection", "Read the log.")
DEAD = Diagnosis("plug-in-dead", "The plug-in is dead.", "Start it.", r"lookup error: Connection refused")
SILENT = Diagnosis("plug-in-silent", "The plug-in is silent.", "Wake it.", stuck=True)
STRICT = Diagnosis("tls-of-all", "TLS is demanded of all.", "Ask for less.", "TLS is required", about="unprotected")


def view(*states: tuple[str, str], case: str = HONEST.id) -> AdapterView:
    events = [
        Event(number, float(number), QueueSeen(token="t", state=state, looked=0.0, reason=reason), case, "deliver")
        for number, (state, reason) in enumerate(states, start=1)
    ]
    return AdapterView(About("x"), events)


def test_the_first_that_fits_counts_and_is_quoted() -> None:
    log = "smtp: started\nsmtp: table socketmap lookup error: Connection refused\nsmtp: deferred"
    found, line = diagnosed(SEEN, view(("deferred", "configuration problem")), (STRICT, SILENT, DEAD), log)
    assert (found.code, found.observed, found.remedy) == ("plug-in-dead", "The plug-in is dead.", "Start it.")
    assert line == "smtp: table socketmap lookup error: Connection refused"


def test_the_queue_comes_before_the_log() -> None:
    queue = view(("deferred", "lookup error: Connection refused (queue)"))
    assert diagnosed(SEEN, queue, (DEAD,), "lookup error: Connection refused (log)")[1].endswith("(queue)")


def test_what_nobody_knows_stays_what_the_lab_saw() -> None:
    found, line = diagnosed(SEEN, view(("deferred", "moon in the wrong phase")), (DEAD, SILENT), "")
    assert (found, line) == (SEEN, "moon in the wrong phase")


@pytest.mark.parametrize(("state", "code"), [("active", "plug-in-silent"), ("deferred", "no-connection")])
def test_a_message_that_is_still_being_delivered_is_stuck(state: str, code: str) -> None:
    assert diagnosed(SEEN, view((state, "")), (SILENT,), "")[0].code == code


def test_mail_that_is_held_without_a_policy() -> None:
    reason = ("deferred", "TLS is required, but was not offered")
    found = held_without_a_policy(view(reason), [HONEST], (DEAD, STRICT), "")
    assert found == (STRICT, "TLS is required, but was not offered", 1)
    assert held_without_a_policy(view(reason, case=POLICY.id), [POLICY], (STRICT,), "") is None
    assert held_without_a_policy(view(("deferred", "no route")), [HONEST], (STRICT,), "") is None


def test_a_queue_that_only_knows_of_an_error_is_explained_by_the_log() -> None:
    log = "mta connected\nmta error reason=TLS is required here\nmta closed"
    held, known = view(("deferred", "Network error")), replace(STRICT, in_log=True)
    assert held_without_a_policy(held, [HONEST], (known,), log) == (known, "mta error reason=TLS is required here", 0)
    assert held_without_a_policy(view(("active", "")), [HONEST], (known,), log) is None
    assert held_without_a_policy(held, [HONEST], (STRICT,), log) is None


def test_a_handshake_that_fails_is_no_demand_for_tls() -> None:
    known = read_diagnoses(shipped_files() / "docker" / "postfix")
    assert held_without_a_policy(view(("deferred", "Cannot start TLS: handshake failure")), [HONEST], known, "") is None


def test_a_file_that_is_wrong_says_where(tmp_path: Path) -> None:
    (tmp_path / "diagnoses.toml").write_text(
        '[[diagnosis]]\ncode = "some-code"\nmeans = "y"\nremedy = "z"\npattern = "("\n'
    )
    with pytest.raises(TargetError, match=r"diagnoses.toml: .*no regular expression"):
        read_diagnoses(tmp_path)
    assert read_diagnoses(tmp_path / "nowhere") == ()


#: What mail servers really wrote, and what it means.
WORDS = {
    "postfix": (
        (
            "warning: table socketmap:inet:127.0.0.1:8462:postfix lookup error: Connection refused",
            "policy-plug-in-unreachable",
        ),
        (
            "warning: hash:/etc/postfix/tls_policy is unavailable. open database /etc/postfix/tls_policy.db: No such file "
            "or directory",
            "table-missing",
        ),
        (
            "Host or domain name not found. Name service error for name=relay.example.net type=A: Host not found, try again",
            "next-hop-unreachable",
        ),
        ("connect to 203.0.113.9[203.0.113.9]:25: Network is unreachable", "next-hop-unreachable"),
        ("connect to 127.0.0.1[127.0.0.1]:10025: Connection refused", "next-hop-unreachable"),
        ("Server certificate not trusted", "ca-not-trusted"),
        ("connect to mx1.a.example[198.18.168.4]:25: Connection refused", "no-connection"),
    ),
    "exim": (
        ("a@a.example R=nonlocal: Mailing to remote domains not supported", "sends-no-mail-out"),
        ("a@a.example R=smarthost T=remote_smtp_smarthost defer (101): Network is unreachable", "next-hop-unreachable"),
        ("H=203.0.113.9 [203.0.113.9] Network is unreachable", "next-hop-unreachable"),
        ("H=mx1.a.example [198.18.168.4] Connection refused", "no-connection"),
        ("a@a.example: all relevant MX records point to non-existent hosts", "special-addresses-refused"),
        (
            "T=remote_smtp defer (-37) H=mx1.a.example [198.18.120.4]: TLS session: (certificate verification failed): "
            "certificate invalid",
            "ca-not-trusted",
        ),
    ),
    "sendmail": (
        ("Deferred: [203.0.113.9]: Network is unreachable", "next-hop-unreachable"),
        ("reject=450 4.7.0 <a@a.example>... STS lookup temp fail", "policy-plug-in-unreachable"),
        ("sts map: lookup (a.example): deferred", "policy-plug-in-unreachable"),
        ("Deferred: 403 4.7.0 authentication failed", "ca-not-trusted"),
    ),
    "courier": (
        ("400 Peer's certificate not signed by a trusted authority", "ca-not-trusted"),
        ("500 Unable to set minimum security level.", "tls-demanded-of-all"),
    ),
    "haraka": (
        (
            "Failed to get socket: connect ENETUNREACH 203.0.113.9:25 - Local (undefined:undefined)",
            "next-hop-unreachable",
        ),
        ("get_mx plugin returned DENYSOFT: undefined", "plug-in-unreachable"),
        ("get_mx plugin returned DENYSOFT: plugin timeout", "plug-in-silent"),
    ),
    "chasquid": (
        ("(last: Could not dial: dial tcp: lookup mx1.a.example.: no such host)", "dns-lookup-fails"),
        ("failed to fetch: lookup _mta-sts.a.example on 198.19.168.1:53: no such host", "no-connection"),
        ("(last: Could not dial: dial tcp 203.0.113.9:25: connect: network is unreachable)", "next-hop-unreachable"),
    ),
    "opensmtpd": (
        ("mta closing reason=tls-connect-failed", "ca-not-trusted"),
        ("debug: mta: ... got smarthost for 0ec42ab6b03f22e5: smtp://203.0.113.9", "next-hop-unreachable"),
    ),
}


@pytest.mark.parametrize(
    ("target", "line", "code"), [(target, line, code) for target, lines in WORDS.items() for line, code in lines]
)
def test_the_words_of_shipped_mail_servers(target: str, line: str, code: str) -> None:
    known = read_diagnoses(shipped_files() / "docker" / target)
    assert diagnosed(SEEN, view(("deferred", line)), known, "")[0].code == code
