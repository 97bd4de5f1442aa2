"""The policy cache and what is done to it, through the whole sender and on the virtual clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.reference.target import InProcessTarget

from tests.reference.standin import Internet, sender, settle, until

WEEK = 604800


async def prime_then_strip(internet: Internet, target: InProcessTarget, mode: str = "enforce") -> None:
    internet.publish(mode)
    assert await settle(target) == "gone"
    internet.show(internet.mx1, None)


async def held_after(internet: Internet, target: InProcessTarget) -> bool:
    before = len(internet.mx1.taken)
    await target.inject("alice@sender.example", "carol@there.example", b"a: b\r\n\r\n")
    await until(lambda: all(not one.active for one in target.sender.queue()))
    return len(internet.mx1.taken) == before


def txt_gone(internet: Internet) -> None:
    del internet.dns.zone["_mta-sts.there.example", "TXT"]


def txt_garbled(internet: Internet) -> None:
    internet.dns.zone["_mta-sts.there.example", "TXT"] = ['"v=STSv1; id=not legal;"']


def txt_servfail(internet: Internet) -> None:
    internet.dns.rcodes["_mta-sts.there.example", "TXT"] = "SERVFAIL"


def txt_silent(internet: Internet) -> None:
    internet.dns.rcodes["_mta-sts.there.example", "TXT"] = "TIMEOUT"


def new_id_but_host_gone(internet: Internet) -> None:
    internet.publish("enforce")
    del internet.dns.zone["mta-sts.there.example", "A"]


def new_id_but_rogue_host(internet: Internet) -> None:
    internet.publish("none")
    internet.web.context = internet.server_context("mta-sts.there.example", issuer=internet.other_ca)


def new_id_but_broken_policy(internet: Internet) -> None:
    internet.publish("none")
    internet.web.body = b"version: STSv1\r\n"


def new_id_but_status_404(internet: Internet) -> None:
    internet.publish("none")
    internet.web.status = "404 Not Found"


ATTACKS = {
    txt_gone: "drops_cache_without_record",
    txt_garbled: "drops_cache_without_record",
    txt_servfail: "drops_cache_on_lookup_failure",
    txt_silent: "drops_cache_on_lookup_failure",
    new_id_but_host_gone: "drops_cache_when_refresh_fails",
    new_id_but_rogue_host: "drops_cache_when_refresh_fails",
    new_id_but_broken_policy: "drops_cache_when_refresh_fails",
    new_id_but_status_404: "drops_cache_when_refresh_fails",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("flawed", [False, True], ids=["correct", "flawed"])
async def test_a_cached_policy_survives_any_failure(
    internet: Internet, tmp_path: Path, attack: object, flawed: bool
) -> None:
    flaws = {ATTACKS[attack]: True} if flawed else {}  # type: ignore[index]
    async with sender(internet, tmp_path, **flaws) as target:
        await prime_then_strip(internet, target)
        attack(internet)  # type: ignore[operator]
        assert await held_after(internet, target) is not flawed


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
@pytest.mark.parametrize("flawed", [False, True], ids=["correct", "flawed"])
async def test_the_cache_survives_a_restart(internet: Internet, tmp_path: Path, signal: str, flawed: bool) -> None:
    async with sender(internet, tmp_path, forgets_cache_at_restart=flawed) as target:
        await prime_then_strip(internet, target)
        txt_gone(internet)
        await target.restart(signal)
        assert await held_after(internet, target) is not flawed


async def test_an_expired_policy_no_longer_counts(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        await prime_then_strip(internet, target)
        txt_gone(internet)
        await target.advance(WEEK - 60)
        assert await held_after(internet, target)
        await target.advance(61)
        assert not await held_after(internet, target)


async def test_ignores_max_age(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, ignores_max_age=True) as target:
        await prime_then_strip(internet, target)
        txt_gone(internet)
        await target.advance(WEEK + 1)
        assert await held_after(internet, target)


async def test_an_unchanged_id_does_not_renew_a_policy(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        await prime_then_strip(internet, target)
        internet.web.status = "500 Oops"
        await target.advance(WEEK + 1)
        assert not await held_after(internet, target)


async def test_a_refresh_ahead_of_expiry_renews_it(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        internet.publish("enforce")
        await settle(target)
        await target.advance(WEEK - 60)
        await settle(target)
        assert internet.fetches() == 2
        internet.show(internet.mx1, None)
        txt_gone(internet)
        await target.advance(120)
        assert await held_after(internet, target)


async def test_one_fetch_per_id(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        internet.publish("enforce")
        for _ in range(3):
            await settle(target)
        assert internet.fetches() == 1
        internet.publish("enforce")
        await settle(target)
        assert internet.fetches() == 2


async def test_refetches_on_every_message(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, refetches_on_every_message=True) as target:
        internet.publish("enforce")
        await settle(target)
        await settle(target)
        assert internet.fetches() == 2


async def test_a_failed_fetch_pauses_five_minutes_for_the_same_id(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.status = "404 Not Found"
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
        assert await settle(target) == "gone"
        assert internet.fetches() == 1
        await target.advance(301)
        assert await settle(target) == "gone"
        assert internet.fetches() == 2
        internet.publish("enforce")
        await settle(target)
        assert internet.fetches() == 3


async def test_holds_without_policy(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.status = "404 Not Found"
    async with sender(internet, tmp_path, holds_without_policy=True) as target:
        assert await settle(target) == "the policy could not be fetched"


@pytest.mark.parametrize("flaw", ["", "never_refetches", "ignores_none"])
async def test_mode_none_retires_a_policy(internet: Internet, tmp_path: Path, flaw: str) -> None:
    async with sender(internet, tmp_path, **{flaw: True} if flaw else {}) as target:
        await prime_then_strip(internet, target)
        internet.publish("none", mx=())
        assert await held_after(internet, target) is bool(flaw)


async def test_none_as_enforce(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, none_as_enforce=True) as target:
        internet.publish("none")
        internet.show(internet.mx1, None)
        assert await settle(target) != "gone"


async def test_the_cache_file_is_of_use_only_if_whole(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        await prime_then_strip(internet, target)
        txt_gone(internet)
        [kept] = (tmp_path / "policies").glob("*.json")
        kept.write_bytes(kept.read_bytes()[:40])
        await target.restart("KILL")
        assert "cannot be read and is left out" in await target.logs()


async def test_a_cache_that_cannot_be_written_still_counts(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        directory = tmp_path / "policies"
        directory.rename(tmp_path / "moved")
        await prime_then_strip(internet, target)
        txt_gone(internet)
        assert await held_after(internet, target)
        assert "could not be written" in await target.logs()
        (tmp_path / "moved").rename(directory)
