"""Adapters of a real mail server in real containers: Postfix's own, and the same with one mistake in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target

import docker
from tests.backends.docker.throw_away import ThrowAway, play
from tests.cli.program import Answer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]


def postfix_toml(ready_seconds: int = 60) -> str:
    """Return what Postfix's own `target.toml` says of the container, which may take so long until it is up."""
    return f'capabilities_needed = ["SETUID", "SETGID", "DAC_OVERRIDE", "KILL"]\nready_seconds = {ready_seconds}'


#: Seconds after which a mistake may be told by which Postfix, or a part of it, never comes up. On a busy machine the
#: parts that do come up took 20.
NEVER_UP = {"container-ended": 8, "contract-unreachable": 8, "about-broken": 40, "mail-port-closed": 40}


@pytest.fixture(scope="module")
def postfix(engine: docker.DockerClient) -> str:
    """The image of Postfix: what is broken below is a layer on top of it."""
    lab_image(engine, print)
    return target_image(engine, find_target("postfix"), print)


def codes(answer: Answer) -> list[str]:
    return [finding["code"] for finding in json.loads(answer.out)["findings"] if finding["result"] == "fault"]


def observed(answer: Answer, code: str) -> str:
    (found,) = [finding for finding in json.loads(answer.out)["findings"] if finding["code"] == code]
    return str(found["observed"])


@pytest.mark.usefixtures("postfix")
@pytest.mark.parametrize("target", ["postfix", "chasquid"])
def test_a_shipped_adapter_keeps_the_contract(tmp_path: Path, target: str) -> None:
    answer = play(tmp_path, "target-check", target, "--json")
    assert answer.status == 0, answer.out
    unproved = {
        finding["part"]
        for finding in json.loads(answer.out)["findings"]
        if finding["result"] not in ("ok", "not-offered")
    }
    # Postfix takes a second over a flush and tries again by itself every three: where an own attempt comes soon after
    # the message has begun to wait, nothing tells the two apart.
    laxer_with_age = {part for part in unproved if part.startswith('says "retry_seconds"')}
    # No probe of this check has a message with the header TLS-Required, to an address or behind a smart host: it says so
    # of these claims.
    shown_by_cases_alone = {f"claims {name}" for name in ("tls-required", "smart-host", "address-literals")}
    assert unproved - laxer_with_age <= {"POST /flush", *shown_by_cases_alone}, answer.out


def edit(file: str, expression: str) -> str:
    """Return a line of a Dockerfile that edits a file, and fails to build if that changes nothing."""
    return f"RUN cp {file} /tmp/before && sed -i -E '{expression}' {file} && ! cmp -s {file} /tmp/before"


MISTAKES = {
    "container-ended": (edit("/entrypoint", "s/^exec .*/echo no licence key found; exit 7/"), "no licence key found"),
    "contract-unreachable": (
        edit("/opt/mta-sts-lab/services.toml", 's/"--port", "8025"/"--port", "8026"/'),
        ":8025/about",
    ),
    "about-broken": ("RUN printf '#!/bin/sh\\npostconf mail_version\\n' >/hooks/about", "mail_version"),
    "mail-port-closed": (
        "RUN postconf -MX smtp/inet\n" + edit("/opt/mta-sts-lab/services.toml", 's/"smtp:127.0.0.1:25", //'),
        "port 25 does not take mail",
    ),
    "relay-refused": (edit("/entrypoint", 's/ [$]LAB_PREFIX"/"/'), "Access denied"),
    "resolver-not-used": (edit("/entrypoint", "/^printf .nameserver/d"), "nobody asked the lab"),
    "no-connection": ("RUN postconf -e smtp_bind_address=127.0.0.1", "no connection came"),
    "ca-not-trusted": ("RUN postconf -e smtp_tls_CAfile=", "under an enforced policy"),
    "ca-not-trusted-by-fetcher": (
        edit(
            "/opt/mta-sts-lab/services.toml",
            's#SSL_CERT_FILE = .*#SSL_CERT_FILE = "/etc/ssl/certs/ca-certificates.crt"#',
        ),
        "was not accepted",
    ),
}


#: The mistakes that are made most often: `make test` and `make test-nightly` make these, `make targets` all of them.
COMMON = ("container-ended", "relay-refused", "resolver-not-used", "ca-not-trusted")


@pytest.mark.parametrize(
    "code", [pytest.param(code, marks=[] if code in COMMON else pytest.mark.thorough) for code in MISTAKES]
)
def test_each_mistake_is_named(throw_away: ThrowAway, tmp_path: Path, postfix: str, code: str) -> None:
    broken, told = MISTAKES[code]
    throw_away.write(broken, postfix_toml(NEVER_UP.get(code, 60)), base=postfix)
    answer = throw_away.check(tmp_path / "place")
    assert answer.status == 1, (answer.out, answer.err)
    assert code in codes(answer), answer.out
    assert told.lower() in observed(answer, code).lower()


def test_a_run_does_not_begin_where_honest_mail_does_not_arrive(
    throw_away: ThrowAway, tmp_path: Path, postfix: str
) -> None:
    throw_away.write(MISTAKES["resolver-not-used"][0], postfix_toml(), base=postfix)
    answer = throw_away.run(tmp_path / "place")
    assert answer.status == 4, answer.err
    assert "postfix is not ready to be judged (resolver-not-used)" in answer.err
    assert "LAB_DNS" in answer.err
    assert "target-check" in answer.err
    assert answer.out == ""


def test_a_run_warns_of_what_about_says_and_nobody_knows(throw_away: ThrowAway, tmp_path: Path, postfix: str) -> None:
    throw_away.write(edit("/hooks/about", 's/"retry_seconds"/"retry_second"/'), postfix_toml(), base=postfix)
    answer = throw_away.run(tmp_path / "place")
    assert answer.err.count("'retry_second' (is 'retry_seconds' meant?)") == 1, answer.err


def test_a_folder_outside_the_checkout_finds_the_contract_server(throw_away: ThrowAway, tmp_path: Path) -> None:
    throw_away.write('COPY docker/common/*.py /opt/mta-sts-lab/\nCOPY own /own\nCMD ["cat", "/own"]')
    (throw_away.folder / "own").write_text("a file of the folder's own\n")
    answer = throw_away.check(tmp_path / "place")
    assert codes(answer) == ["container-ended"]
    assert "a file of the folder's own" in observed(answer, "container-ended")
