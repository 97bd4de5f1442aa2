"""The status of each row is what the checks, the scenarios and the flaws make of it: it is computed, not claimed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import pytest
from mta_sts_lab.judge.checks import all_checks
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import STATUSES_WITH_REASON, load_requirements
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.tlsrpt.registry import check, hint_check, key_check, reading_check, session_check

REQUIREMENTS = load_requirements()
SCENARIOS = load_shipped_catalogue().scenarios

#: Levels of texts that forbid nothing and demand nothing.
_PERMISSIONS = ("MAY", "lc-may")

#: Remarks that are permissions as well, although their wording has no "may".
_PERMITTING_REMARKS = ("RPT-4-04", "RPT-5.5-03")


def covered() -> set[str]:
    """Return the rows that a flaw breaks, and that a scenario which kills the flaw is about.

    That the scenario fails the flaw under this very id is what the kill matrix plays.
    """
    kills = {(name, row) for scenario in SCENARIOS for name in scenario.kills for row in scenario.requirements}
    return {flaw.obligation for flaw in FLAWS.values() if (flaw.name, flaw.obligation) in kills}


def blamed() -> set[str]:
    """Return the rows that a check registered, or that an expectation of a scenario names."""
    of_reports = chain(check, hint_check, key_check, reading_check, session_check)
    found = {row for one in chain(all_checks(), of_reports) for row in one.obligations}
    for scenario in SCENARIOS:
        for expect in (step.expect for case in scenario.cases for step in case.steps):
            if expect is not None:
                found |= {
                    expect.obligation if expect.outcome else "",
                    expect.report_obligation if expect.report else "",
                }
                found |= {expect.policy_requests.obligation} if expect.policy_requests else set()
    return found - {""}


def computed_statuses() -> Mapping[str, str]:
    """Return the status that each row has by rights."""
    killed, known = covered(), blamed()
    found = {}
    for row in REQUIREMENTS.values():
        permission = row.level in _PERMISSIONS or row.id in _PERMITTING_REMARKS
        if row.id in killed:
            found[row.id] = "covered"
        elif row.status in STATUSES_WITH_REASON:
            found[row.id] = row.status
        elif permission:
            found[row.id] = "permission"
        else:
            found[row.id] = "judged" if row.id in known else "not-yet"
    return found


def test_every_flaw_breaks_a_covered_row_and_every_covered_row_has_a_flaw() -> None:
    assert {row.id for row in REQUIREMENTS.values() if row.status == "covered"} == covered()
    assert covered() == {flaw.obligation for flaw in FLAWS.values()}


@pytest.mark.parametrize("status", ["covered", "judged", "permission", "not-yet"])
def test_the_status_of_a_row_is_what_its_checks_scenarios_and_flaws_make_it(status: str) -> None:
    labelled = {row.id for row in REQUIREMENTS.values() if row.status == status}
    assert labelled == {row for row, computed in computed_statuses().items() if computed == status}


def test_what_cannot_be_observed_or_is_out_of_scope_is_not_blamed_either() -> None:
    left_out = {row.id for row in REQUIREMENTS.values() if row.status in STATUSES_WITH_REASON}
    assert left_out & (covered() | blamed()) == set()


def test_a_scenario_is_about_rows_that_something_can_blame_or_that_permit_something() -> None:
    nominal = {
        (scenario.id, row)
        for scenario in SCENARIOS
        for row in scenario.requirements
        if REQUIREMENTS[row].status not in ("covered", "judged", "permission")
    }
    assert nominal == set()
