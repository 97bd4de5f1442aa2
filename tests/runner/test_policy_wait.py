"""How long a policy request is waited for: what a target claims, and was seen to do, decides; never against it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.events import DeadlinePassed
from mta_sts_lab.judge.checks.premises import ASKED_LATE
from mta_sts_lab.model import About
from mta_sts_lab.reference.delivery import Delivery
from mta_sts_lab.reference.discovery import Discovered, Discovery
from mta_sts_lab.timeouts import POLICY_QUESTION, Deadline

from tests.runner.arena import IMPATIENT, Arena, Played, cases_of

STRIP = "starttls/strip[enforce]"

#: A target that claims nothing is waited for a tenth as long as one that claims MTA-STS.
TIMEOUTS = replace(
    IMPATIENT,
    learn_policy=Deadline("learn-policy", 3.0),
    policy_question=Deadline(POLICY_QUESTION.name, 0.3),
    policy_stored=Deadline("policy-stored", 0.2),
    settle=Deadline("settle", 6.0),
    recover=Deadline("recover", 6.0),
)


def _claims_nothing(about: About) -> About:
    return replace(about, capabilities=())


def _asks(monkeypatch: pytest.MonkeyPatch, after: float | None, tasks: list[asyncio.Task[Discovered]]) -> None:
    """Let the reference sender look for an unknown policy only `after` so many seconds, or never, beside its mail."""
    discover = Discovery.discover

    async def later(found: Discovery, domain: str, seconds: float) -> Discovered:
        await asyncio.sleep(seconds)
        return await discover(found, domain)

    async def in_background(self: Discovery, domain: str) -> Discovered:
        cached = self.cache.get(domain)
        if cached is None and after is not None:
            tasks.append(asyncio.ensure_future(later(self, domain, after)))
        return Discovered(cached.policy if cached else None)

    monkeypatch.setattr(Discovery, "discover", in_background)


async def _played(
    directory: Path, monkeypatch: pytest.MonkeyPatch, after: float | None, *, claims: bool, slow: float = 0.0
) -> Played:
    arena = Arena(directory, timeouts=TIMEOUTS, about=(lambda about: about) if claims else _claims_nothing)
    _asks(monkeypatch, after, arena.tasks)  # type: ignore[arg-type]
    deliver = Delivery.deliver

    async def slowly(self: Delivery, envelope: object) -> object:
        await asyncio.sleep(slow)
        return await deliver(self, envelope)  # type: ignore[arg-type]

    monkeypatch.setattr(Delivery, "deliver", slowly)
    return await arena.play(cases_of(STRIP), {"starttls/strip[absent]"})


def _waited(played: Played) -> list[str]:
    return [fact.deadline for fact in played.facts(DeadlinePassed, STRIP)]


async def test_a_sender_that_never_asks_and_claims_nothing_is_soon_taken_at_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, None, claims=False)
    assert _waited(played) == [POLICY_QUESTION.name]
    assert "delivered-clear-policy-never-fetched" in played.reasons(STRIP)


async def test_one_that_claims_to_know_policies_is_waited_for_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, None, claims=True)
    assert _waited(played) == ["learn-policy"]


@pytest.mark.parametrize(("after", "claims"), [(0.1, False), (1.0, True)])
async def test_a_fetch_after_the_delivery_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: float, claims: bool
) -> None:
    played = await _played(tmp_path, monkeypatch, after, claims=claims)
    assert not _waited(played)
    assert played.grade(STRIP) == "pass"


async def test_a_sender_that_is_slow_to_deliver_may_be_slow_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, 0.8, claims=False, slow=0.4)
    assert not _waited(played)
    assert played.grade(STRIP) == "pass"


async def test_nothing_is_held_against_one_that_asks_when_nobody_waits_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await _played(tmp_path, monkeypatch, 0.45, claims=False)
    assert _waited(played) == [POLICY_QUESTION.name]
    assert played.grade(STRIP) == "inconclusive"
    assert ASKED_LATE in played.reasons(STRIP)
