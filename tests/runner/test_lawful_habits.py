"""Senders with habits of their own, which the RFCs allow: no case calls them wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mta_sts_lab.reference.discovery import CachedPolicy, Discovered, Discovery
from mta_sts_lab.reference.policy import Policy

from tests.runner.arena import Arena, cases_of

_Discover = Callable[[Discovery, str], Awaitable[Discovered]]
discover: _Discover = Discovery.discover

_looks: set[asyncio.Task[Discovered]] = set()


async def looks_beside(self: Discovery, domain: str) -> Discovered:
    """Applies the policy that it has, and looks for a newer one "so as not to block" (RFC 8461, section 5.1)."""
    cached = self._unexpired(domain)
    if cached is None:
        return await discover(self, domain)
    look = asyncio.ensure_future(discover(self, domain))
    _looks.add(look)
    look.add_done_callback(_looks.discard)
    return Discovered(cached.policy)


async def fetches_always(self: Discovery, domain: str) -> Discovered:
    """Fetches the policy anew "regardless of the state of the _mta-sts TXT record" (RFC 8461, section 10.2)."""
    cached = self._unexpired(domain)
    if cached is None:
        return await discover(self, domain)
    fresh = await self._fetch(domain, cached.id)
    if not isinstance(fresh, Policy):
        return Discovered(cached.policy, fresh)
    self.cache.put(CachedPolicy(domain, cached.id, self.clock.now(), fresh))
    return Discovered(fresh)


@pytest.mark.parametrize(
    ("habit", "patterns"),
    [
        (looks_beside, ("queue/session-reuse[enforce,host-not-listed]", "rpt-mail/through-the-attack[enforce,*]")),
        (fetches_always, ("discovery/two-ids[enforce]", "policy/policy-rollover*")),
    ],
)
async def test_nothing_is_said_to_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, habit: _Discover, patterns: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Discovery, "discover", habit)
    played = await Arena(tmp_path).play(cases_of(*patterns))
    said = {name: played.reasons(name) for name, grade in played.grades().items() if grade not in ("pass", "info")}
    # The fetch ends a few milliseconds before or behind the delivery beside it.
    assert all(reasons == {"policy-replaced-in-between"} for reasons in said.values()), said


@pytest.mark.parametrize("flaw", ["skips_mx_match", "never_refetches"])
async def test_who_has_the_newer_policy_or_never_fetches_it_has_no_excuse(tmp_path: Path, flaw: str) -> None:
    case = "queue/session-reuse[enforce,host-not-listed]"
    assert (await Arena(tmp_path, flaws=(flaw,)).play(cases_of(case))).grade(case) == "fail"
