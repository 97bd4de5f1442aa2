"""Lists and pages: complete, 80 columns, harmless."""

from dataclasses import replace

import pytest
from mta_sts_lab.model.case import AttackUse, Expectation, Step
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.world import Dns, MxHost, Policy, PolicyHost, Tlsa, World
from mta_sts_lab.reports.tables import (
    TargetSummary,
    requirement_page,
    requirements_table,
    scenario_page,
    scenarios_table,
    targets_table,
)
from rich.console import RenderableType

from .records import HOSTILE, REQUIREMENTS, SCENARIO, assert_fits, rendered, without_colour

_BENT = World(
    mx=(MxHost(certificate="expired"), MxHost("mx2", 20)),
    policy=Policy(mx=("*.mail",), max_age=60),
    policy_host=PolicyHost(status=302, location="/other"),
    dns=Dns(()),
)
_BUSY = Step(
    "attack",
    _BENT,
    attacks=(AttackUse("swap_certificate", "smtp", {"certificate": "self-signed"}),),
    send=False,
    restart="KILL",
    advance=86400,
    expect=Expectation(
        ("deferred", "as-absent"),
        "STS-5-03",
        ("deferred",),
        Grade.INFO,
        "an open question",
        report=("certificate-expired",),
    ),
    recovers=True,
    reports=True,
)
_HOSTILE_SCENARIO = replace(
    SCENARIO,
    id=HOSTILE,
    title=HOSTILE,
    story=HOSTILE,
    effect=HOSTILE,
    requirements=(HOSTILE,),
    path=HOSTILE,
    cases=(replace(SCENARIO.cases[0], id=HOSTILE, vector=HOSTILE, steps=(replace(_BUSY, name=HOSTILE),)),),
)
_HOSTILE_REQUIREMENT = Requirement(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, reason=HOSTILE)

_PAGES: dict[str, RenderableType] = {
    "list": scenarios_table([SCENARIO, _HOSTILE_SCENARIO]),
    "show": scenario_page(SCENARIO, REQUIREMENTS),
    "show hostile": scenario_page(_HOSTILE_SCENARIO, {}),
    "requirements": requirements_table([*REQUIREMENTS.values(), _HOSTILE_REQUIREMENT]),
    "requirement": requirement_page(REQUIREMENTS["STS-5-03"], [SCENARIO]),
    "requirement hostile": requirement_page(_HOSTILE_REQUIREMENT, [_HOSTILE_SCENARIO]),
    "targets": targets_table(
        [TargetSummary("reference", "in process", "Ours.", ("mta-sts",)), TargetSummary(*[HOSTILE] * 3)]
    ),
}


@pytest.mark.parametrize("page", _PAGES)
def test_every_page_fits_and_is_the_same_on_a_terminal(page: str) -> None:
    in_pipe, on_terminal = rendered(_PAGES[page]), rendered(_PAGES[page], terminal=True)
    assert_fits(in_pipe)
    assert_fits(on_terminal)
    assert "\x1b" not in in_pipe
    assert without_colour(on_terminal) == in_pipe


def test_list_counts_scenarios_and_cases() -> None:
    shown = rendered(scenarios_table([SCENARIO]))
    assert "starttls/strip\n  STARTTLS removed from the EHLO reply\n  enforce, testing, none, absent\n" in shown
    assert "scenarios: 1, cases: 4" in shown


def test_show_tells_the_steps_and_only_what_is_not_as_it_should_be() -> None:
    scenario = replace(SCENARIO, cases=(replace(SCENARIO.cases[0], steps=(Step("prime", World()), _BUSY)),))
    shown = " ".join(rendered(scenario_page(scenario, REQUIREMENTS)).split())
    for words in (
        "The attacker sits on the path",
        "STS-5-03 (MUST NOT): Under enforce",
        "prime world nothing unusual",
        "name mx1, preference 10, certificate expired",
        "policy.mx = ('*.mail',); policy.max_age = 60",
        "policy_host.status = 302; policy_host.location = /other",
        "swap_certificate on smtp (certificate = self-signed)",
        "restart with KILL, advance the clock by 86400 s",
        "message none sent",
        "deferred or not worse than without a policy (better: deferred), or STS-5-03 is broken (counts as info)",
        "reported as certificate-expired; an open question",
        "held mail arrives",
        "TLS-RPT reports are asked for",
    ):
        assert words in shown, words


def test_show_says_what_a_tlsa_record_is_about() -> None:
    records = (Tlsa(), Tlsa(2, 0, 2, of="authority", cut=1), Tlsa(selector=5, of="expired"))
    step = Step("prime", World(mx=(MxHost(tlsa=records),)))
    scenario = replace(SCENARIO, cases=(replace(SCENARIO.cases[0], steps=(step,)),))
    shown = " ".join(rendered(scenario_page(scenario, REQUIREMENTS)).split())
    assert (
        "certificate valid, TLSA 3 1 1 (the key that the host shows)"
        " and 2 0 2 (the certificate of the authority that senders trust, 1 octet short)"
        " and 3 5 1 (an unknown part of the certificate variant expired)"
    ) in shown


def test_show_can_be_limited_to_some_cases() -> None:
    shown = rendered(scenario_page(SCENARIO, REQUIREMENTS, SCENARIO.cases[:1]))
    assert "starttls/strip[enforce]" in shown
    assert "starttls/strip[testing]" not in shown


def test_coverage_is_counted_for_each_rfc_and_level() -> None:
    rows = [line.split() for line in rendered(requirements_table(REQUIREMENTS.values())).splitlines()]
    assert rows[2:6] == [
        ["RFC", "8460", "DEFN", "0", "0", "0", "1", "0", "0", "1"],
        ["RFC", "8461", "MUST", "NOT", "1", "0", "0", "0", "0", "0", "1"],
        ["RFC", "8461", "SHOULD", "0", "0", "0", "0", "1", "0", "1"],
        ["all", "1", "0", "0", "1", "1", "0", "3"],
    ]


def test_a_requirement_names_its_scenarios_or_why_there_is_none() -> None:
    assert "scenario    starttls/strip: STARTTLS removed" in rendered(
        requirement_page(REQUIREMENTS["STS-5-03"], [SCENARIO])
    )
    uncovered = rendered(requirement_page(REQUIREMENTS["STS-3.3-18"], [SCENARIO]))
    assert "status      not observable" in uncovered
    assert "reason      log only" in uncovered
    assert "scenario    none" in uncovered


def test_targets_say_what_they_claim() -> None:
    shown = rendered(targets_table([TargetSummary("postfix", "docker", capabilities=("mta-sts", "tls-rpt"))]))
    assert shown == "postfix  docker\n  claims      mta-sts, tls-rpt\n"
