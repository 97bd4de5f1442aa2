"""Mail to the domain beside the case's own breaks no policy of the case, unless it shares a session with the case's."""

from __future__ import annotations

import pytest
from mta_sts_lab.events import AnyFact, ConnectionClosed, OtherMessageInjected, SmtpSaid, StepEnded
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict

from tests.judge.stories import (
    DOMAIN,
    ENFORCE,
    Line,
    connection,
    mx_query,
    reasons,
    record,
    resisted,
    taken_in,
    verdict,
)

OTHER = f"<b@beside.{DOMAIN[ENFORCE]}>"
OWN = f"<b@{DOMAIN[ENFORCE]}>"


def _with_session(*recipients: str, announced: bool = True) -> Verdict:
    """Judge the case of a sender that held its message, with one more session in clear during the attack."""
    said = ["MAIL FROM:<a@sender.example>", *(f"RCPT TO:{one}" for one in recipients)]
    facts: list[AnyFact] = [
        *([OtherMessageInjected(token="other", recipient=OTHER, reply="250 ok")] if announced else []),
        mx_query(ENFORCE),
        connection(ENFORCE, "other-1"),
        *(SmtpSaid(session="other-1", speaker="sender", line=line, secured=False) for line in said),
        ConnectionClosed(session="other-1"),
    ]
    story = resisted()
    end = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], StepEnded))
    more: list[Line] = [(ENFORCE, "attack", fact) for fact in facts]
    return verdict(record([*story[: end - 1], *more, *story[end - 1 :]], taken_in()))


def test_mail_for_the_other_domain_may_go_in_clear() -> None:
    assert "envelope-in-clear" not in reasons(_with_session(OTHER))


@pytest.mark.parametrize("recipients", [(OWN,), (OTHER, OWN), (OWN, OTHER)])
def test_a_session_that_is_for_the_domain_as_well_is_judged(recipients: tuple[str, ...]) -> None:
    found = _with_session(*recipients)
    assert "envelope-in-clear" in reasons(found)
    assert found.grade is Grade.FAIL


def test_where_nothing_was_sent_to_it_there_is_no_other_domain() -> None:
    assert "envelope-in-clear" in reasons(_with_session(OTHER, announced=False))
