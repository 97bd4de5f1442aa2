"""What the record shows by itself."""

from __future__ import annotations

import pytest

from lab.events import AnyFact, ConnectionClosed
from lab.judge.facts import CaseFacts
from tests.judge.stories import DOMAIN, ENFORCE, accepted, connection, policy_facts, record

FETCH = policy_facts(ENFORCE)
FETCHED = ConnectionClosed(session=f"https-{DOMAIN[ENFORCE]}")
REACHED = connection(ENFORCE, "honest-1")
TAKEN = accepted(ENFORCE, "prime", "honest-1")


@pytest.mark.parametrize(
    ("facts", "before"),
    [
        pytest.param([*FETCH, FETCHED, REACHED, TAKEN], True, id="first the policy, then the mail"),
        pytest.param([*FETCH, REACHED, FETCHED, TAKEN], False, id="side by side, answered first"),
        pytest.param([*FETCH, REACHED, TAKEN], False, id="never seen to end"),
        pytest.param([REACHED, TAKEN, *FETCH, FETCHED], False, id="in background"),
        pytest.param([REACHED, TAKEN], True, id="no policy"),
    ],
)
def test_a_fetch_came_before_the_delivery_only_if_it_had_ended(facts: list[AnyFact], before: bool) -> None:
    made = record([(ENFORCE, "prime", fact) for fact in facts])
    assert CaseFacts(ENFORCE, made.events).fetched_before_delivery("prime") is before
