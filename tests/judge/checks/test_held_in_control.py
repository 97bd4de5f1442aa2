"""A message that is held without a policy, too, is no proof that the policy was kept."""

from __future__ import annotations

import msgspec
import pytest
from mta_sts_lab.events import QueueSeen
from mta_sts_lab.model.grading import Grade

from tests.judge.stories import ABSENT, ENFORCE, Line, record, resisted, verdict


def _saying(story: list[Line], reason: str) -> list[Line]:
    return [
        (case, step, msgspec.structs.replace(fact, reason=reason) if isinstance(fact, QueueSeen) else fact)
        for case, step, fact in story
    ]


@pytest.mark.parametrize(
    ("under_policy", "without", "grade", "reason"),
    [
        ("TLS is required", "TLS is required", Grade.INFO, "held-for-another-reason"),
        ("no TLS at mx1.enforcing.example", "no TLS at mx1.absent.example", Grade.INFO, "held-for-another-reason"),
        ("403 TLS failed", "454 TLS failed", Grade.PASS, "deferred"),
        ("", "TLS is required", Grade.INCONCLUSIVE, "held-as-in-control-case"),
        ("TLS is required", "", Grade.INCONCLUSIVE, "held-as-in-control-case"),
    ],
)
def test_hold_is_credited_to_the_policy_only_for_a_reason_that_the_control_case_lacks(
    under_policy: str, without: str, grade: Grade, reason: str
) -> None:
    made = record(_saying(resisted(ENFORCE), under_policy), _saying(resisted(ABSENT), without))
    found = [one for one in verdict(made).judgements if one.check == "message-outcome" or one.reason == reason]
    assert [(one.grade, one.reason, one.step) for one in found] == [(grade, reason, "attack")]
