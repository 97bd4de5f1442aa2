"""A black box takes mail and says who it is; everything else it does not offer, whatever stands behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.targets.black_box import OFFERED_PARTS, BlackBox
from mta_sts_lab.targets.contract import NotOffered, TargetError

from tests.reference.standin import Internet, sender, until


async def test_it_takes_mail_and_shows_nothing(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as inside:
        box = BlackBox(inside)
        await box.inject("a@sender.example", "b@there.example", b"x: y\r\n\r\n")
        await until(lambda: internet.mx1.taken)
        calls = (box.queue(), box.flush(), box.restart("TERM"), box.advance(1), box.reports(), box.logs())
        for part, call in zip(OFFERED_PARTS, calls, strict=True):
            with pytest.raises(NotOffered, match=f"/{part} is not asked for"):
                await call


async def test_it_claims_nothing_that_needs_what_is_hidden(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as inside:
        claimed = (await inside.about()).capabilities
        assert {"tls-rpt", "queue-clock"} < set(claimed)
        about = await BlackBox(inside).about()
        assert about.set_aside == ("tls-rpt", "queue-clock")
        assert about.capabilities == tuple(one for one in claimed if one not in about.set_aside)
        about = await BlackBox(inside, ("queue",)).about()
        assert (about.capabilities, about.set_aside) == (claimed, ())


async def test_a_target_that_has_ended_hides_nothing(
    internet: Internet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sender(internet, tmp_path) as inside:
        monkeypatch.setattr(inside, "ended", lambda: "the command ended with status 7")
        box = BlackBox(inside)
        for call in (box.queue(), box.flush(), box.reports()):
            with pytest.raises(TargetError, match="ended with status 7") as raised:
                await call
            assert not isinstance(raised.value, NotOffered)


async def test_what_is_not_hidden_is_passed_on(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as inside:
        box = BlackBox(inside, ("flush",))
        assert await box.queue() == ()
        await box.advance(60)
        assert inside.sender.clock.offset == 60
        await box.restart("KILL")
        await box.reports()
        assert "started" in await box.logs()
        with pytest.raises(NotOffered):
            await box.flush()
