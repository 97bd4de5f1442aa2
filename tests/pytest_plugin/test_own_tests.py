"""The fixture `sts_lab`: a world with an attack, the record, and assertions on an outcome."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from mta_sts_lab.catalogue import NothingSelected
from mta_sts_lab.model.world import MxHost, World
from mta_sts_lab.pytest_plugin.own_tests import Lab
from mta_sts_lab.pytest_plugin.settings import Settings
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.world.mail_host import MxServer

pytest_plugins = ["pytester"]


def lab(out: Path, *flaws: str) -> Lab:
    return Lab(Settings(target="reference", flaws=flaws), out)


def test_a_world_with_an_attack(tmp_path: Path) -> None:
    played = lab(tmp_path).attack("strip_starttls")
    played.assert_outcome("deferred")
    assert played.attacks_fired == ("strip_starttls",)
    assert played.outcome("prime") == "delivered-authenticated"
    assert {event.case for event in played.events} == {"own/strip-starttls[enforce]"}
    assert (played.folder / "record.jsonl").exists()
    with pytest.raises(AssertionError, match="deferred in step attack, not delivered-clear; the record is in"):
        played.assert_outcome("delivered-clear")


def test_a_flawed_sender_fails_the_assertions(tmp_path: Path) -> None:
    flawed = lab(tmp_path, "ignores_policy")
    flawed.attack("strip_starttls").assert_outcome("delivered-clear")
    with pytest.raises(AssertionError, match="fail: delivered-clear"):
        flawed.play("starttls/strip[enforce]").assert_passed()


def test_an_attack_that_did_not_take_effect_proves_nothing(tmp_path: Path) -> None:
    no_tls = World(mx=(MxHost(starttls=False),))
    played = lab(tmp_path).attack("strip_starttls", mode="absent", world=no_tls)
    with pytest.raises(AssertionError, match="the attack did not take effect: strip_starttls"):
        played.assert_outcome("delivered-clear")


def test_what_the_lab_has_spoiled_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail waits for a host that breaks off each handshake, also with a sender that accepts every certificate."""
    monkeypatch.setattr(MxServer, "choose_credentials", lambda *_: None)
    played = lab(tmp_path, "accepts_expired").attack(world=World(mx=(MxHost(certificate="expired"),)))
    assert played.outcome("prime") == "deferred"
    with pytest.raises(AssertionError, match=r"nothing is proved: .*the lab was not in order"):
        played.assert_outcome("deferred", step="prime")


def test_an_asynchronous_test_may_play_too(tmp_path: Path) -> None:
    async def test() -> None:
        lab(tmp_path).play("starttls/strip[absent]").assert_passed()

    asyncio.run(test())


def test_a_mistake_says_what_would_be_right(tmp_path: Path) -> None:
    mine = lab(tmp_path)
    with pytest.raises(UsageError, match="did you mean strip_starttls"):
        mine.attack("strip_startls")
    with pytest.raises(UsageError, match=r"'enforced' is none of .*enforce"):
        mine.attack("strip_starttls", mode="enforced")
    with pytest.raises(UsageError, match="strip_starttls has no how='badly'"):
        mine.attack("strip_starttls", how="badly")
    with pytest.raises(NothingSelected, match="did you mean"):
        mine.play("starttls/stripp[enforce]")
    with pytest.raises(UsageError, match="is 4 cases"):
        mine.play("starttls/strip")


def test_the_suite_of_the_authors_guide_passes_as_it_stands(pytester: pytest.Pytester) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "author.md").read_text()
    (suite,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "sts_lab.attack" in block]
    pytester.makepyfile(test_guide=suite)
    pytester.makeini("[pytest]\nsts_target = reference\nfilterwarnings = error\n")
    result = pytester.runpytest_subprocess("-p", "mta_sts_lab.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=2)
