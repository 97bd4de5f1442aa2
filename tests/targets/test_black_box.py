"""A black box takes mail and says who it is; everything else it does not offer, whatever stands behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.targets.black_box import OFFERED_PARTS, BlackBox
from mta_sts_lab.targets.contract import NotOffered

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


async def test_it_claims_no_reports_that_nobody_can_ask_for(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as inside:
        assert (await inside.about()).capabilities == ("mta-sts", "tls-rpt", "dane", "requiretls", "tls-required")
        about = await BlackBox(inside).about()
        assert (about.capabilities, about.set_aside) == (
            ("mta-sts", "dane", "requiretls", "tls-required"),
            ("tls-rpt",),
        )
        assert (await BlackBox(inside, ("queue",)).about()).capabilities == (
            "mta-sts",
            "tls-rpt",
            "dane",
            "requiretls",
            "tls-required",
        )


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
