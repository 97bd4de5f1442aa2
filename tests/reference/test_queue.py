"""The spool and its schedule: nothing is lost, nothing is sent twice, nothing is given up early or silently."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from pathlib import Path

import pytest
from mta_sts_lab.reference.bounce import build_bounce
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.targets.contract import InjectionRefusedError

from tests.reference.standin import Internet, sender, settle, settled, until

DAY = 86400


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
async def test_what_is_held_survives_a_restart_and_arrives_once(
    internet: Internet, tmp_path: Path, signal: str
) -> None:
    internet.mx1.answers["RCPT"] = "450 later"
    async with sender(internet, tmp_path) as target:
        assert "450" in await settle(target)
        await target.restart(signal)
        [held] = await target.queue()
        assert (held.recipient, held.sender, held.state) == ("bob@there.example", "alice@sender.example", "deferred")
        assert "450" in held.reason
        internet.mx1.answers.clear()
        await target.flush()
        await until(lambda: not target.sender.queue())
        await target.restart(signal)
        assert await target.queue() == ()
    (arrived,) = internet.mx1.taken
    assert re.fullmatch(rb"Received: by [^\r\n]+\r\nSubject: hello\r\n\r\nThe text\.\r\n", arrived.content)


async def test_a_kill_amid_a_delivery_keeps_the_message(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.stalls = True
    async with sender(internet, tmp_path) as target:
        await target.inject("alice@sender.example", "bob@there.example", b"a: b\r\n\r\n")
        await until(internet.fetches)
        await target.restart("KILL")
        internet.web.stalls = False
        await target.flush()
        await until(lambda: internet.mx1.taken)
        assert await settled(target) == "gone"
    assert len(internet.mx1.taken) == 1


async def test_retries_wait_for_their_time(internet: Internet, tmp_path: Path) -> None:
    internet.mx1.answers["RCPT"] = "450 later"
    async with sender(internet, tmp_path) as target:
        await settle(target)
        assert internet.mx1.connections == 1
        await target.advance(299)
        assert [one.active for one in target.sender.queue()] == [False]
        await target.advance(2)
        await until(lambda: internet.mx1.connections == 2)
        await settled(target)
        # The pause has doubled.
        await target.advance(301)
        assert internet.mx1.connections == 2
        await target.advance(300)
        await until(lambda: internet.mx1.connections == 3)


async def test_a_flush_during_an_attempt_makes_another_one(internet: Internet, tmp_path: Path) -> None:
    internet.dns.rcodes["there.example", "MX"] = "TIMEOUT"
    async with sender(internet, tmp_path) as target:
        await target.inject("alice@sender.example", "bob@there.example", b"a: b\r\n\r\n")
        await until(lambda: internet.dns.queries["there.example", "MX"] == 2)
        await target.flush()
        internet.dns.rcodes.clear()
        await until(lambda: internet.mx1.taken)


async def test_after_five_days_dns_is_asked_and_then_the_sender_told(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.show(internet.mx1, None)
    async with sender(internet, tmp_path) as target:
        assert "STARTTLS" in await settle(target, message=b"X-Token: abc\r\n\r\nsecret")
        await target.advance(4 * DAY)
        await until(lambda: internet.mx1.connections == 2)
        assert await settled(target) != "gone"
        assert internet.home.taken == []
        asked = internet.dns.queries["_mta-sts.there.example", "TXT"]
        await target.advance(DAY + 60)
        await until(lambda: internet.home.taken)
        assert internet.dns.queries["_mta-sts.there.example", "TXT"] == asked + 1
        await until(lambda: not target.sender.queue())
    [bounce] = internet.home.taken
    assert (bounce.sender, bounce.recipient) == ("", "alice@sender.example")
    report = email.message_from_bytes(bounce.content, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, header = report.get_payload()
    assert "bob@there.example" in text.get_content()
    assert status.get_content_type() == "message/delivery-status"
    of_recipient = status.get_payload()[1]
    assert of_recipient["Action"] == "failed"
    assert of_recipient["Status"] == "4.4.7"
    assert of_recipient["Final-Recipient"] == "rfc822; bob@there.example"
    assert "X-Token: abc" in header.get_payload()
    assert b"secret" not in bounce.content
    assert internet.mx1.taken == []


async def test_a_new_policy_rescues_at_the_last_moment(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce", max_age=30 * DAY)
    internet.show(internet.mx1, None)
    async with sender(internet, tmp_path) as target:
        await settle(target)
        internet.publish("none", mx=())
        await target.advance(5 * DAY + 60)
        await until(lambda: internet.mx1.taken)
    assert internet.home.taken == []


async def test_no_notification_about_a_notification(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        await target.inject("", "bob@missing.example", b"a: b\r\n\r\n")
        await until(lambda: not target.sender.queue())
    assert internet.home.connections == 0


async def test_several_recipients_are_several_messages(internet: Internet, tmp_path: Path) -> None:
    from mta_sts_lab.reference.smtp_client import SmtpClient

    async with sender(internet, tmp_path) as target:
        client = await SmtpClient.open(target.sender.address, "lab.example", 3)
        await client._expect("MAIL FROM:<alice@sender.example>", 250)
        for name in ("one", "two"):
            await client._expect(f"RCPT TO:<{name}@there.example>", 250)
        await client._expect("DATA", 354)
        assert (await client._exchange(b"a: b\r\n\r\n.\r\n")).code == 250
        await client.close()
        await until(lambda: len(internet.mx1.taken) == 2)
    assert sorted(mail.recipient for mail in internet.mx1.taken) == ["one@there.example", "two@there.example"]


async def test_what_cannot_be_kept_is_not_taken(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        (tmp_path / "spool").rmdir()
        with pytest.raises(InjectionRefusedError, match="451"):
            await target.inject("alice@sender.example", "bob@there.example", b"a: b\r\n\r\n")
        (tmp_path / "spool").mkdir()
        assert await target.queue() == ()


async def test_an_address_without_domain_is_refused(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        with pytest.raises(InjectionRefusedError, match="501"):
            await target.inject("alice@sender.example", "bob", b"a: b\r\n\r\n")
        # The same connection is good for the next one.
        assert await settle(target) == "gone"


async def test_a_bug_is_told_and_loses_nothing(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        told: list[str] = []
        target.sender.on_error = lambda where, error: told.append(f"{where}: {error}")
        queue = target.sender._living().queue

        async def broken(envelope: Envelope) -> None:
            await asyncio.sleep(0)
            raise RuntimeError("a bug")

        queue.deliver = broken  # type: ignore[assignment]
        assert "a bug" in await settle(target)
        assert told == ["reference sender: delivery: a bug"]


def test_hostile_text_stays_out_of_the_headers_of_a_bounce() -> None:
    failed = Envelope(
        "a@b.example", "c\r\nX-Evil: 1@d.example", b"Subject: \xff\xfe\r\nX: " + b"y" * 99999 + b"\r\n\r\nbody"
    )
    bounce = build_bounce(failed, "no\r\nX-Evil: 2\u0000", "5.0.0", "mta.sender.example", 0.0)
    report = email.message_from_bytes(bounce.message, policy=email.policy.default)
    assert "X-Evil" not in report
    assert "X-Evil" not in report.get_payload()[1].get_payload()[1]
    assert len(bounce.message) < 25_000
