"""A mail server that remembers MX answers, as OpenSMTPD does for ten seconds, hides no flaw and is blamed for none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.reference.resolver import Resolver

from tests.runner.arena import Arena, cases_of


@pytest.fixture(autouse=True)
def _remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {}
    ask = Resolver.mx

    async def mx(self: Resolver, domain: str) -> Any:
        if domain not in known:
            known[domain] = await ask(self, domain)
        return known[domain]

    monkeypatch.setattr(Resolver, "mx", mx)


@pytest.mark.parametrize(
    ("flaw", "case", "reason"),
    [
        ("tries_worst_host_first", "mx/order-of-preference[enforce]", "not-by-preference"),
        ("ignores_dane", "dane/ee-match[dane,3-1-1]", "tlsa-not-looked-up"),
        ("asks_for_tlsa_without_port", "dane/ee-match[dane,3-1-1]", "tlsa-asked-at-another-name"),
        ("sends_no_server_name_under_dane", "dane/ee-match[dane,3-1-1]", "not-the-base-domain"),
    ],
)
async def test_a_flaw_is_seen(tmp_path: Path, flaw: str, case: str, reason: str) -> None:
    played = await Arena(tmp_path, flaws=(flaw,)).play(cases_of(case))
    assert played.grade(case) == "fail"
    assert reason in played.reasons(case)


async def test_hosts_that_were_not_looked_up_prove_nothing(tmp_path: Path) -> None:
    case = "mx/wildcard-depth[enforce,1]"
    played = await Arena(tmp_path).play(cases_of(case))
    assert played.grade(case) == "inconclusive"
    assert "hosts-not-looked-up" in played.reasons(case)
