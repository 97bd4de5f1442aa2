"""A message that is held without a policy, too, is no proof that the policy was kept."""

from __future__ import annotations

import msgspec
import pytest
from mta_sts_lab.events import QueueSeen
from mta_sts_lab.model.grading import Grade

from tests.judge.stories import ABSENT, ENFORCE, Line, reasons, record, resisted, verdict


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


@pytest.mark.parametrize(
    ("under_policy", "without"),
    [
        ("no TLS at [2001:db8::9]", "no TLS at [2001:db8::77]"),
        ("no TLS at [IPv6:2001:db8::9]:25", "no TLS at [IPv6:2001:db8:0:1::77]:25"),
        ("no TLS at 2001:db8:0:0:0:0:0:9: gone", "no TLS at 2001:DB8::: gone"),
        ("no TLS at [::ffff:198.18.64.9]", "no TLS at [198.18.64.77]"),
        ("4007E6A2A97F0000:error:0A00010B:SSL routines", "40B7DDF3127F0000:error:0A00010B:SSL routines"),
        ("1tQbXy-0001Ab-2C held", "1tQbYz-00000003cDe-4F5g held"),
        ("4YRkQv1wLVz9xK held", "4YRkR03Hb2z9xM held"),
    ],
)
def test_addresses_and_ids_make_no_reason_of_its_own(under_policy: str, without: str) -> None:
    found = verdict(record(_saying(resisted(ENFORCE), under_policy), _saying(resisted(ABSENT), without)))
    assert found.grade is Grade.INFO
    assert "held-for-another-reason" in reasons(found)


@pytest.mark.parametrize(
    ("under_policy", "without"),
    [
        ("error:0A000086:SSL routines::certificate verify failed", "error:0A00010B:SSL routines::wrong version number"),
        ("error:0A000086:SSL routines", "error:0A00010B:SSL routines"),
        ("SSL routines::bad", "SSL routines::dead"),
        ("550 5.7.10 refused", "550 5.7.11 refused"),
        ("at port 25", "at port 465"),
    ],
)
def test_what_tells_errors_apart_is_a_reason_of_its_own(under_policy: str, without: str) -> None:
    assert (
        verdict(record(_saying(resisted(ENFORCE), under_policy), _saying(resisted(ABSENT), without))).grade
        is Grade.PASS
    )
