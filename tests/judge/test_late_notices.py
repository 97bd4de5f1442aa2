"""Notices that come late, or in plain words, say nothing against the mail server that they do not show."""

from __future__ import annotations

import pytest
from mta_sts_lab.events import BounceReceived, CaseEnded, ClockAdvanced, QueueSeen, StepBegan, StepEnded
from mta_sts_lab.model.grading import Grade

from tests.judge import stories
from tests.judge.stories import ENFORCE, Line, record, taken_in, token, verdict


def _held_until(days: int, *, early: bool = False) -> list[Line]:
    """A message that is held, and returned after the case, when the lab had moved the clock on for others.

    The notice may come before the target has said that its clock is moved.
    """
    story = [line for line in stories.resisted() if line[1] != "recover"]
    moves: list[Line] = [("", "", ClockAdvanced(seconds=86400)) for _ in range(days)]
    notice = BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="4.4.7")
    recover = [(ENFORCE, "recover", fact) for fact in (StepBegan(), StepEnded(), CaseEnded())]
    end: list[Line] = [(ENFORCE, "recover", notice)]
    if early:
        asked = ClockAdvanced(seconds=86400, asked=0.01 * len(story))
        return [*story, *recover, *moves[:-1], *end, ("", "", asked)]
    return [*story, *recover, *moves, *end]


@pytest.mark.parametrize(("days", "is_early"), [(0, True), (3, True), (4, False), (6, False)])
def test_mail_that_is_given_up_after_days_was_retried(days: int, is_early: bool) -> None:
    """RFC 5321, section 4.5.4.1: the time until a sender gives up is at least four to five days."""
    found = verdict(record(_held_until(days), taken_in()))
    assert (found.grade is Grade.FAIL) is is_early
    assert ("bounced-instead-of-retried" in stories.reasons(found)) is is_early
    assert ("given-up-after-days" in stories.reasons(found)) is not is_early


def test_the_clock_counts_as_moved_once_it_was_asked_to() -> None:
    found = verdict(record(_held_until(4, early=True), taken_in()))
    assert "given-up-after-days" in stories.reasons(found)


def test_a_notice_behind_the_copy_is_no_warning() -> None:
    story = stories.without(stories.resisted(), lambda fact: isinstance(fact, QueueSeen))
    notice = BounceReceived(token=token(ENFORCE, "attack"), action="unreadable", status="")
    found = verdict(record([*story, (ENFORCE, "recover", notice)], taken_in()))
    assert "failure-notice-for-a-delivered-message" in stories.reasons(found)


def test_a_warning_of_a_delay_in_plain_words_is_no_notice_of_a_failure() -> None:
    """Of a black box no queue is seen; the mail that arrived was not returned."""
    story = stories.without(stories.resisted(), lambda fact: isinstance(fact, QueueSeen))
    cut = next(number for number, line in enumerate(story) if line[1] == "recover")
    warning = BounceReceived(token=token(ENFORCE, "attack"), action="unreadable", status="")
    found = verdict(record([*story[:cut], (ENFORCE, "recover", warning), *story[cut:]], taken_in()))
    assert found.grade is not Grade.FAIL
    assert "failure-notice-for-a-delivered-message" not in stories.reasons(found)
