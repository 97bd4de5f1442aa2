"""Attempt upon attempt without a pause is found, and nothing that the lab itself asked for."""

from __future__ import annotations

import pytest
from mta_sts_lab.events import AnyFact, ConnectionClosed, OtherMessageInjected, StepEnded, TargetFlushed
from mta_sts_lab.model.verdict import Verdict

from tests.judge.stories import DOMAIN, ENFORCE, Line, connection, record, resisted, taken_in, verdict


def _attempts(count: int) -> list[Line]:
    facts: list[AnyFact] = []
    for number in range(count):
        facts += [connection(ENFORCE, f"more-{number}"), ConnectionClosed(session=f"more-{number}")]
    return [(ENFORCE, "attack", fact) for fact in facts]


def _judged(more: list[Line]) -> Verdict:
    story = resisted()
    end = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], StepEnded))
    return verdict(record([*story[:end], *more, *story[end:]], taken_in()))


def _found(judged: Verdict) -> set[str]:
    return {one.reason for one in judged.judgements if one.obligation == "SMTP-4.5.4.1-02"}


@pytest.mark.parametrize(("attempts", "found"), [(11, {"no-pause-between-attempts"}), (5, set())])
def test_a_series_without_pauses_is_found(attempts: int, found: set[str]) -> None:
    assert _found(_judged(_attempts(attempts))) == found


def test_attempts_that_were_asked_for_are_no_series() -> None:
    asked: list[Line] = [("", "", TargetFlushed())]
    assert _found(_judged([*_attempts(6), *asked, *_attempts(6)])) == set()


def test_connections_for_messages_to_the_other_domain_are_no_series() -> None:
    other = OtherMessageInjected(token="other", recipient=f"b@beside.{DOMAIN[ENFORCE]}", reply="250 ok")
    assert _found(_judged([(ENFORCE, "attack", other), *_attempts(11)])) == set()
