"""What counts as settled: a sender that gives in late must be met by a look at its queue that began late enough."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.events import AnyFact, DeadlinePassed, PolicyRequested, StepBegan
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import SAME_ATTEMPT
from mta_sts_lab.reference.address_delivery import AddressDelivery
from mta_sts_lab.reference.delivery import Delivery
from mta_sts_lab.reference.policy import Policy
from mta_sts_lab.reference.result import Unused
from mta_sts_lab.reference.session import Accepted, Destination, Unprotected
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.runner.settling import fetched_before_delivery
from mta_sts_lab.targets.contract import Held, Target
from mta_sts_lab.timeouts import Deadline

from tests.judge.stories import ENFORCE, accepted, connection, policy_facts, record
from tests.runner.arena import IMPATIENT, Arena, Around, cases_of

UNTRUSTED = "certificate/swapped-untrusted[enforce]"

#: Seconds that a look at the queue takes, and that the sender pauses before it gives in: the look is the older one.
LOOK = PAUSE = 0.2


class SlowToShow(Around):
    """A queue that takes its time to be listed, and a request to try again that is not obeyed at once."""

    async def queue(self) -> tuple[Held, ...]:
        listing = await self.inside.queue()
        await asyncio.sleep(LOOK)
        return listing

    async def flush(self) -> None:
        asyncio.get_running_loop().call_later(LOOK / 4, lambda: asyncio.ensure_future(self.inside.flush()))


def _giving_in() -> Callable[[AddressDelivery, Envelope, Destination, Policy, Unprotected], object]:
    """Return what a sender does that refuses a certificate twice, and takes it on another connection after a pause."""
    refused: set[str] = set()

    async def after_violation(
        sender: AddressDelivery, envelope: Envelope, to: Destination, _policy: Policy, failure: Unprotected
    ) -> Accepted:
        if envelope.recipient not in refused:
            refused.add(envelope.recipient)
            raise failure
        await asyncio.sleep(PAUSE)
        return await sender.sessions.opportunistic(envelope, to)

    return after_violation


async def test_a_listing_from_before_the_attempt_is_no_proof_that_the_attempt_changed_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AddressDelivery, "_after_violation", _giving_in())
    timeouts = replace(IMPATIENT, settle=Deadline("settle", 6.0))
    played = await Arena(tmp_path, wrap=SlowToShow, timeouts=timeouts).play(cases_of(UNTRUSTED))
    assert played.grade(UNTRUSTED) == "fail"
    assert {"delivered-unauthenticated", "read-under-a-bad-certificate"} <= played.reasons(UNTRUSTED)


#: A fetch of the policy, and the end of its connection.
*FETCH, FETCHED = policy_facts(ENFORCE)
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
    assert fetched_before_delivery(CaseFacts(ENFORCE, made.events), "prime") is before


class ForgetsLate(Around):
    """A queue that goes on to list what it once held back, for a while after that was delivered."""

    def __init__(self, inside: Target) -> None:
        super().__init__(inside)
        self.held: dict[str, tuple[Held, float]] = {}

    async def queue(self) -> tuple[Held, ...]:
        listing = await self.inside.queue()
        now = asyncio.get_running_loop().time()
        self.held |= {one.recipient: (one, now) for one in listing if one.state == "deferred"}
        listed = {one.recipient for one in listing}
        late = [one for one, seen in self.held.values() if one.recipient not in listed and now - seen < 3 * LOOK]
        return (*listing, *late)


async def test_an_older_message_is_waited_for_until_the_target_has_let_go_of_it(tmp_path: Path) -> None:
    played = await Arena(tmp_path, wrap=ForgetsLate).play(cases_of("policy/max-age-lapses"))
    assert "still-queued-after-delivery" not in played.reasons("policy/max-age-lapses[enforce]")
    assert set(played.grades().values()) == {"pass"}


def _failing_once_before_the_host() -> Callable[..., Awaitable[object]]:
    """Return a sender's way to a host that is as ever but for a message's second attempt: that finds no address."""
    attempts: Counter[str] = Counter()
    as_ever = Delivery._to_host

    async def to_host(sender: Delivery, envelope: Envelope, *more: object) -> object:
        attempts[envelope.recipient] += 1
        if attempts[envelope.recipient] == 2:
            return Unused("A: timed out")
        return await as_ever(sender, envelope, *more)  # type: ignore[arg-type]

    return to_host


async def test_an_attempt_that_ends_before_it_reached_a_host_is_not_taken_to_go_on_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Delivery, "_to_host", _failing_once_before_the_host())
    timeouts = replace(IMPATIENT, settle=Deadline("settle", 4 * SAME_ATTEMPT))
    played = await Arena(tmp_path, timeouts=timeouts).play(cases_of(UNTRUSTED))
    assert played.grade(UNTRUSTED) == "pass"
    assert [event for event in played.events if isinstance(event.fact, DeadlinePassed)] == []


async def test_a_domain_publishes_no_other_policy_within_a_second_of_a_fetch(tmp_path: Path) -> None:
    apart = Deadline("next-policy", 0.6)
    played = await Arena(tmp_path, timeouts=replace(IMPATIENT, next_policy=apart)).play(
        cases_of("discovery/new-id-refetched[enforce]")
    )
    steps = [event for event in played.events if isinstance(event.fact, StepBegan) and event.case.endswith("[enforce]")]
    fetches = [event.at for event in played.events if isinstance(event.fact, PolicyRequested)]
    between = [step.at - max(at for at in fetches if at < step.at) for step in steps if min(fetches) < step.at]
    assert between[0] >= apart.seconds
    assert played.grade("discovery/new-id-refetched[enforce]") == "pass"
