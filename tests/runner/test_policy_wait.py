"""How long a policy request is waited for: what a target claims, and was seen to do, decides; never against it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.events import DeadlinePassed, Event, PolicyRequested
from mta_sts_lab.model.target import About
from mta_sts_lab.reference.discovery import Discovered, Discovery
from mta_sts_lab.runner.context import OVER_THE_NETWORK
from mta_sts_lab.runner.settling import longest_for_policy
from mta_sts_lab.timeouts import POLICY_QUESTION, Deadline

from tests.runner.arena import IMPATIENT, Arena, Played, cases_of

STRIP = "starttls/strip[enforce]"

#: A target that claims nothing is waited for half as long as one that claims MTA-STS.
TIMEOUTS = replace(
    IMPATIENT,
    learn_policy=Deadline("learn-policy", 2.0),
    policy_question=Deadline(POLICY_QUESTION.name, 1.0),
    policy_stored=Deadline("policy-stored", 0.2),
    settle=Deadline("settle", 6.0),
    recover=Deadline("recover", 6.0),
)


def _claims_nothing(about: About) -> About:
    return replace(about, capabilities=())


def _asks(
    monkeypatch: pytest.MonkeyPatch, when: Callable[[], Awaitable[object]] | None, tasks: list[asyncio.Task[Any]]
) -> None:
    """Let the reference sender look for an unknown policy beside its mail, after `when`, or never."""
    discover = Discovery.discover

    async def later(found: Discovery, domain: str) -> Discovered:
        assert when is not None
        await when()
        return await discover(found, domain)

    async def in_background(self: Discovery, domain: str) -> Discovered:
        cached = self.cache.get(domain)
        if cached is None and when is not None:
            tasks.append(asyncio.ensure_future(later(self, domain)))
        return Discovered(cached.policy if cached else None)

    monkeypatch.setattr(Discovery, "discover", in_background)


async def _played(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: float | None,
    *,
    claims: bool,
    when_given_up: bool = False,
) -> Played:
    """Play a case against a sender that asks `after` so many seconds, or `when_given_up`: when nobody waits for that."""
    given_up = asyncio.Event()

    def watch(_: Arena, event: Event) -> None:
        if isinstance(event.fact, DeadlinePassed) and event.fact.deadline == POLICY_QUESTION.name:
            given_up.set()

    about = (lambda about: about) if claims else _claims_nothing
    arena = Arena(directory, timeouts=TIMEOUTS, about=about, on_event=watch)
    when = given_up.wait if when_given_up else None if after is None else partial(asyncio.sleep, after)
    _asks(monkeypatch, when, arena.tasks)
    return await arena.play(cases_of(STRIP), {"starttls/strip[absent]"})


def _waited(played: Played) -> list[str]:
    return [fact.deadline for fact in played.facts(DeadlinePassed, STRIP)]


async def test_a_sender_that_never_asks_and_claims_nothing_is_soon_taken_at_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, None, claims=False)
    assert _waited(played) == [POLICY_QUESTION.name]
    assert not played.facts(PolicyRequested, STRIP)


async def test_one_that_claims_to_know_policies_is_waited_for_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, None, claims=True)
    assert _waited(played) == ["learn-policy"]


@pytest.mark.parametrize(
    ("delivery", "knows", "name", "seconds"),
    [
        pytest.param(0.1, False, POLICY_QUESTION.name, 2, id="one that never asked"),
        pytest.param(0.1, True, "learn-policy", 8, id="one that claims to, or was seen to ask"),
        pytest.param(1.0, False, POLICY_QUESTION.name, 4, id="slow to deliver, and perhaps to ask"),
        pytest.param(2.5, False, "learn-policy", 8, id="so slow that nothing is saved"),
        pytest.param(math.inf, False, "learn-policy", 8, id="nothing was delivered"),
    ],
)
def test_how_long_a_question_is_waited_for(delivery: float, knows: bool, name: str, seconds: float) -> None:
    found = longest_for_policy(OVER_THE_NETWORK, delivery, knows_policies=knows)
    assert (found.name, found.seconds) == (name, seconds)


@pytest.mark.parametrize("claims", [False, True])
async def test_a_fetch_after_the_delivery_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claims: bool) -> None:
    played = await _played(tmp_path, monkeypatch, 0.05, claims=claims)
    assert not _waited(played)
    assert played.facts(PolicyRequested, STRIP)


async def test_nothing_is_held_against_one_that_asks_when_nobody_waits_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, None, claims=False, when_given_up=True)
    assert _waited(played) == [POLICY_QUESTION.name]
    assert played.grade(STRIP) == "inconclusive"
