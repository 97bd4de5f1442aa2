"""The third ring: each mail server does what is known of it against the whole catalogue, and nothing else.

Every target has a mark of its own, so that a selection of them can be run: `pytest -m target_exim`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.images import target_image
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.runs import load_shipped_catalogue

import docker
from tests.backends.docker.test_third_ring import ours
from tests.backends.docker.throw_away import (
    WITH_THE_IMAGE,
    nothing_but_what_is_known,
    play,
    run_on,
)

pytestmark = [pytest.mark.docker, pytest.mark.alone, pytest.mark.timeout(WITH_THE_IMAGE)]

_THOROUGH = pytest.mark.thorough

#: `make test-nightly` plays Postfix, which has a test of its own, chasquid and one control; `make targets` all.
TARGETS = (
    pytest.param("chasquid", marks=pytest.mark.target_chasquid),
    pytest.param("chasquid-debian12", marks=[pytest.mark.target_chasquid_debian12, _THOROUGH]),
    pytest.param("chasquid-policy-only", marks=[pytest.mark.target_chasquid_policy_only, _THOROUGH]),
    pytest.param("courier", marks=[pytest.mark.target_courier, _THOROUGH]),
    pytest.param("courier-sts-cache", marks=[pytest.mark.target_courier_sts_cache, _THOROUGH]),
    pytest.param("exim", marks=pytest.mark.target_exim),
    pytest.param("exim-debian12", marks=[pytest.mark.target_exim_debian12, _THOROUGH]),
    pytest.param("haraka", marks=[pytest.mark.target_haraka, _THOROUGH]),
    pytest.param("opensmtpd", marks=[pytest.mark.target_opensmtpd, _THOROUGH]),
    pytest.param("opensmtpd-tls", marks=[pytest.mark.target_opensmtpd_tls, _THOROUGH]),
    pytest.param("postfix-as-installed", marks=[pytest.mark.target_postfix_as_installed, _THOROUGH]),
    pytest.param("postfix-dane", marks=[pytest.mark.target_postfix_dane, _THOROUGH]),
    pytest.param("postfix-dane-alone", marks=[pytest.mark.target_postfix_dane_alone, _THOROUGH]),
    pytest.param("postfix-debian12", marks=[pytest.mark.target_postfix_debian12, _THOROUGH]),
    pytest.param("postfix-dnssec", marks=[pytest.mark.target_postfix_dnssec, _THOROUGH]),
    pytest.param("postfix-no-policy", marks=[pytest.mark.target_postfix_no_policy, _THOROUGH]),
    pytest.param("sendmail", marks=[pytest.mark.target_sendmail, _THOROUGH]),
    pytest.param("sendmail-dane", marks=[pytest.mark.target_sendmail_dane, _THOROUGH]),
)

#: The look-ups of Courier and OpenSMTPD go on for longer than the lab waits where DNS gives no answer about a domain.
_LOOKS_UP_FOR_LONG = frozenset({"mx/lookup-fails[enforce,timeout]", "mx/lookup-fails[absent,timeout]"})

#: Courier asks for no policy of a domain whose name has letters outside of ASCII, or whose record has two ids.
_OF_COURIER = _LOOKS_UP_FOR_LONG | {
    "discovery/two-ids[enforce]",
    "mx/internationalised[enforce,listed]",
    "mx/internationalised[enforce,wildcard-certificate]",
}

#: The cases that prove nothing of a target, in every run.
PROVES_NOTHING = {
    # Without its cache of policies nothing of it shows that its clock moved.
    "courier": _OF_COURIER | {"policy/expired-id-unchanged[enforce]"},
    "courier-sts-cache": _OF_COURIER,
    "opensmtpd": _LOOKS_UP_FOR_LONG,
    "opensmtpd-tls": _LOOKS_UP_FOR_LONG,
}

#: Those without MTA-STS.
CONTROLS = (
    "exim",
    "exim-debian12",
    "haraka",
    "opensmtpd",
    "opensmtpd-tls",
    "postfix-no-policy",
)

#: What may be said of a control under an enforced policy where it is not seen to fail.
NOT_BECAUSE_OF_THE_POLICY = {
    "policy-never-asked",
    "held-for-another-reason",
    "held-as-without-a-policy",
    "attacked-host-left-without-a-policy",
    "attack-not-met",
    "not-offered",
    # A step before the policy was known may go either way.
    "allowed-but-not-advised",
}

#: The cases that are about RFC 5321 or RFC 8689, and about no policy.
ABOUT_NO_POLICY = {
    case.id
    for case in load_shipped_catalogue().cases.values()
    if all(requirement.startswith(("SMTP-", "RTLS-")) for requirement in case.requirements)
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_does_what_is_known_of_it_and_nothing_else(
    engine: docker.DockerClient, tmp_path: Path, name: str
) -> None:
    run = run_on(engine, tmp_path, name)
    nothing_but_what_is_known(run, PROVES_NOTHING.get(name, frozenset()))
    if name in CONTROLS:
        _keeps_no_policy(run.document["cases"])
    assert ours(engine, run.folder.name) == []


def _keeps_no_policy(cases: list[dict[str, Any]]) -> None:
    """A mail server without MTA-STS passes no case in which a policy has to be kept: such a case would prove nothing.

    It fails there, or the verdict says that the mail was held for another reason. What no policy asks for, it does.
    """
    enforced = [
        case
        for case in cases
        if case["mode"] == "enforce" and _reasons(case) != {"not-claimed"} and case["id"] not in ABOUT_NO_POLICY
    ]
    assert len(enforced) > 30
    assert [case["id"] for case in enforced if case["verdict"] == "pass"] == []
    assert [
        case["id"] for case in enforced if case["verdict"] != "fail" and not _reasons(case) <= NOT_BECAUSE_OF_THE_POLICY
    ] == []


def _reasons(case: dict[str, Any]) -> set[str]:
    return {item["reason"] for item in case["judgements"] if item["result"] != "pass"}


@pytest.mark.thorough
@pytest.mark.target_opensmtpd
@pytest.mark.target_opensmtpd_tls
def test_one_switch_tells_the_two_opensmtpd_apart(engine: docker.DockerClient, tmp_path: Path) -> None:
    plain, strict = (find_target(name) for name in ("opensmtpd", "opensmtpd-tls"))
    assert target_image(engine, plain, print) == target_image(engine, strict, print)
    outcomes = {}
    for target in (plain, strict):
        answer = play(tmp_path / target.name, "run", "starttls/strip", "--json", "--target", target.name)
        assert answer.status == 0, answer.err
        for case in json.loads(answer.out)["cases"]:
            (attack,) = (step for step in case["steps"] if step["name"] == "attack")
            outcomes[target.name, case["mode"]] = (attack["outcome"], case["verdict"])
    modes = ("enforce", "testing", "none", "absent")
    assert [outcomes["opensmtpd", mode][0] for mode in modes] == ["delivered-clear"] * 4
    assert [outcomes["opensmtpd", mode][1] for mode in modes] == ["fail", "pass", "pass", "pass"]
    assert [outcomes["opensmtpd-tls", mode][0] for mode in modes] == ["deferred"] * 4
    assert [outcomes["opensmtpd-tls", mode][1] for mode in modes] == ["info", "weak", "weak", "weak"]


@pytest.mark.thorough
@pytest.mark.target_sendmail
def test_the_policies_of_sendmail_live_in_a_daemon_that_can_be_restarted_and_moved_in_time(tmp_path: Path) -> None:
    names = ("policy/cache-survives-restart", "policy/max-age-lapses")
    answer = play(tmp_path, "run", *names, "--mode", "enforce", "--json", "--target", "sendmail")
    assert answer.status == 0, answer.err
    cases = [case for case in json.loads(answer.out)["cases"] if not case["control_only"]]
    assert [case["verdict"] for case in cases] == ["pass", "pass"]
    outcomes = {case["id"]: [step["outcome"] for step in case["steps"]] for case in cases}
    assert outcomes == {
        "policy/cache-survives-restart[enforce]": ["delivered-authenticated", "deferred", None],
        "policy/max-age-lapses[enforce]": ["delivered-authenticated", "deferred", "delivered-unauthenticated", None],
    }


def outcomes_under_attack(folder: Path, target: str, *cases: str) -> dict[str, str]:
    """Play some cases and return how their attacked messages fared, with the word of the judge."""
    answer = play(folder / target, "run", *cases, "--json", "--target", target)
    assert answer.status == 0, answer.err
    return {
        case["id"]: f"{step['outcome']}: {case['verdict']}"
        for case in json.loads(answer.out)["cases"]
        for step in case["steps"]
        if step["name"] == "attack"
    }


@pytest.mark.thorough
@pytest.mark.target_chasquid
@pytest.mark.target_chasquid_policy_only
def test_chasquid_holds_by_memory_what_it_would_hold_by_policy(tmp_path: Path) -> None:
    remembers = outcomes_under_attack(tmp_path, "chasquid", "starttls/strip")
    forgets = outcomes_under_attack(tmp_path, "chasquid-policy-only", "starttls/strip")
    assert remembers == {
        "starttls/strip[enforce]": "deferred: info",  # held, and not because of the policy
        "starttls/strip[testing]": "deferred: weak",
        "starttls/strip[none]": "deferred: weak",
        "starttls/strip[absent]": "deferred: weak",
    }
    assert forgets == {
        "starttls/strip[enforce]": "deferred: pass",
        "starttls/strip[testing]": "delivered-clear: pass",
        "starttls/strip[none]": "delivered-clear: pass",
        "starttls/strip[absent]": "delivered-clear: pass",
    }


@pytest.mark.thorough
@pytest.mark.target_courier
@pytest.mark.target_courier_sts_cache
def test_courier_needs_a_place_for_its_policies(tmp_path: Path) -> None:
    case = "policy/policy-rollover[enforce]"
    assert outcomes_under_attack(tmp_path, "courier", case)[case] == "delivered-clear: fail"
    assert outcomes_under_attack(tmp_path, "courier-sts-cache", case)[case] == "deferred: pass"
