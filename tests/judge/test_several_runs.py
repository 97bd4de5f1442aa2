"""What one run shows of a target counts in the others that were merged with it: how a selection was divided changes no
verdict.
"""

from __future__ import annotations

import pytest
from mta_sts_lab.judge import rests_on_other_cases
from mta_sts_lab.model.grading import Grade

from tests.judge.stories import (
    ABSENT,
    CASES,
    ENFORCE,
    TESTING,
    Line,
    gone,
    joined,
    reasons,
    record,
    resisted,
    taken_in,
    verdict,
)
from tests.judge.test_reports import CLAIMS, content, owing, posted, story
from tests.judge.test_rules import vanished


def _belied() -> list[Line]:
    """The queue no longer holds the message of another case, which arrives all the same."""
    other = resisted(TESTING)
    before = next(at for at, line in enumerate(other) if line[1] == "recover" and "ConnectionAcc" in str(line[2]))
    return [*other[:before], (TESTING, "recover", gone(TESTING)), *other[before:]]


@pytest.mark.parametrize("belied_first", [False, True])
def test_a_queue_that_was_wrong_in_another_run_proves_no_loss(belied_first: bool) -> None:
    runs = [record(vanished(), taken_in()), record(_belied(), taken_in())]
    found = verdict(joined(*(reversed(runs) if belied_first else runs)))
    assert (found.grade, "queue-belied" in reasons(found)) == (Grade.INCONCLUSIVE, True)


def test_a_queue_that_was_right_in_every_run_is_believed() -> None:
    assert verdict(joined(record(vanished(), taken_in()), record(resisted(TESTING), taken_in()))).grade is Grade.FAIL


def test_a_loss_rests_on_the_other_cases_and_a_hold_does_not() -> None:
    assert rests_on_other_cases(verdict(record(vanished(), taken_in())))
    assert not rests_on_other_cases(verdict(record(resisted(), taken_in())))
    assert not rests_on_other_cases(verdict(record(taken_in(ENFORCE), taken_in())))  # a leak is one, whoever is asked


@pytest.mark.parametrize("reports", [False, True])
def test_who_sent_a_report_in_another_run_sends_reports(reports: bool) -> None:
    cases = (owing("none", report_obligation="RPT-3-15"), CASES[ABSENT])
    silent = record(story(), taken_in(), cases=cases, capabilities=CLAIMS)
    sent: list[Line] = [("", "", posted(content(), place="https://reports.example/elsewhere"))] if reports else []
    found = verdict(joined(silent, record(resisted(TESTING), sent, taken_in(), capabilities=CLAIMS)))
    assert ("no-report-to-anybody" in reasons(found)) is not reports
    assert rests_on_other_cases(verdict(silent))
