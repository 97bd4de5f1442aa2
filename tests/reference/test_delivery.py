"""The sender against a small honest Internet: what each mode allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.reference.standin import MX2, Internet, sender, settle, settled, until


async def test_without_a_policy_mail_goes_encrypted(internet: Internet, tmp_path: Path) -> None:
    internet.show(internet.mx1, internet.server_context("other.example", issuer=internet.other_ca))
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    [mail] = internet.mx1.taken
    assert mail.secured
    assert re.fullmatch(rb"Received: by [^\r\n]+\r\nSubject: hello\r\n\r\nThe text\.\r\n", mail.content)
    assert internet.fetches() == 0


async def test_without_a_policy_and_starttls_mail_goes_in_clear_on_the_same_connection(
    internet: Internet, tmp_path: Path
) -> None:
    internet.show(internet.mx1, None)
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert [mail.secured for mail in internet.mx1.taken] == [False]
    assert internet.mx1.connections == 1


async def test_refused_starttls_without_a_policy_stays_on_the_connection(internet: Internet, tmp_path: Path) -> None:
    internet.mx1.refuses_starttls = "250 fine, but no"
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert [mail.secured for mail in internet.mx1.taken] == [False]
    assert internet.mx1.connections == 1


async def test_enforce_delivers_with_the_right_certificate_and_server_name(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    [mail] = internet.mx1.taken
    assert mail.secured
    assert mail.sni == "mx1.there.example"
    assert internet.web.snis == ["mta-sts.there.example"]
    assert internet.web.requests[0][0] == "GET /.well-known/mta-sts.txt HTTP/1.1"
    assert internet.web.requests[0][1]["host"] == "mta-sts.there.example"


@pytest.mark.parametrize("how", ["untrusted", "wrong-name", "expired", "no-starttls", "refused"])
async def test_enforce_holds_and_testing_delivers(internet: Internet, tmp_path: Path, how: str) -> None:
    spoil(internet, how)
    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        assert await settle(target) != "gone"
        assert internet.mx1.taken == []
        assert internet.mx1.envelopes == []
        internet.publish("testing")
        await target.flush()
        await until(lambda: internet.mx1.taken)
        assert await settled(target) == "gone"
    assert len(internet.mx1.taken) == 1


@pytest.mark.parametrize("how", ["untrusted", "wrong-name", "expired", "no-starttls"])
async def test_what_was_held_arrives_once_when_the_host_is_mended(internet: Internet, tmp_path: Path, how: str) -> None:
    good = internet.mx1.context
    spoil(internet, how)
    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        await settle(target)
        internet.show(internet.mx1, good)
        await target.flush()
        assert await until_gone(target) == "gone"
    assert [mail.secured for mail in internet.mx1.taken] == [True]
    assert internet.home.taken == []


async def test_a_broken_handshake_without_a_policy_is_followed_by_clear_text(
    internet: Internet, tmp_path: Path
) -> None:
    import ssl

    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # no certificate: no cipher in common
    internet.mx1.context = broken
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert [mail.secured for mail in internet.mx1.taken] == [False]
    assert internet.mx1.connections == 2


async def test_enforce_skips_the_host_outside_the_policy_for_the_next(internet: Internet, tmp_path: Path) -> None:
    internet.dns.zone["there.example", "MX"] = ["5 mx2.there.example.", "10 mx1.there.example."]
    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert internet.mx2.connections == 0
    assert len(internet.mx1.taken) == 1


async def test_enforce_fails_over_from_a_bad_certificate(internet: Internet, tmp_path: Path) -> None:
    internet.dns.zone["there.example", "MX"] = ["5 MX2.there.example.", "10 mx1.there.example."]
    internet.show(internet.mx2, internet.server_context("mx2.there.example", issuer=internet.other_ca))
    internet.publish("enforce", mx=("*.there.example",))
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert internet.mx2.connections == 1
    assert (len(internet.mx2.taken), len(internet.mx1.taken)) == (0, 1)


async def test_an_unreachable_host_is_passed_over(internet: Internet, tmp_path: Path) -> None:
    internet.dns.zone["there.example", "MX"] = ["5 nowhere.there.example.", "10 mx1.there.example."]
    internet.dns.zone["nowhere.there.example", "A"] = ["198.18.9.9"]
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert len(internet.mx1.taken) == 1


async def test_an_address_outside_the_lab_is_never_dialled(internet: Internet, tmp_path: Path) -> None:
    internet.dns.zone["mx1.there.example", "A"] = ["127.0.0.1"]
    async with sender(internet, tmp_path) as target:
        assert "198.18.0.0/15" in await settle(target)


async def test_implicit_mx_is_checked_against_the_policy(internet: Internet, tmp_path: Path) -> None:
    del internet.dns.zone["there.example", "MX"]
    internet.dns.zone["there.example", "A"] = [MX2]
    internet.show(internet.mx2, internet.server_context("there.example"))
    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        assert "not in the policy" in await settle(target)
        internet.publish("enforce", mx=("there.example",))
        await target.flush()
        assert await until_gone(target) == "gone"
    assert len(internet.mx2.taken) == 1


async def test_a_forged_missing_domain_does_not_return_mail_under_enforce(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.dns.rcodes["there.example", "MX"] = "NXDOMAIN"
    async with sender(internet, tmp_path) as target:
        assert "does not exist" in await settle(target)
    assert internet.home.taken == []


async def test_mail_for_a_missing_domain_is_returned(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        assert await settle(target, "bob@missing.example") == "gone"
        await until(lambda: internet.home.taken)
    [bounce] = internet.home.taken
    assert bounce.sender == ""
    assert b"Status: 5.1.2" in bounce.content


async def test_servfail_for_mx_holds(internet: Internet, tmp_path: Path) -> None:
    internet.dns.rcodes["there.example", "MX"] = "SERVFAIL"
    async with sender(internet, tmp_path) as target:
        assert "SERVFAIL" in await settle(target)


async def test_a_permanent_refusal_returns_and_a_temporary_one_holds(internet: Internet, tmp_path: Path) -> None:
    internet.mx1.answers["RCPT"] = "450 4.2.0 later"
    async with sender(internet, tmp_path) as target:
        assert "450" in await settle(target)
        internet.mx1.answers["RCPT"] = "550 5.1.1 nobody here"
        await target.flush()
        assert await until_gone(target) == "gone"
        await until(lambda: internet.home.taken)
    assert b"nobody here" in internet.home.taken[0].content


async def test_octets_before_tls_are_discarded(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.mx1.injects = b"250 injected.example\r\n"
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert [mail.secured for mail in internet.mx1.taken] == [True]


async def test_mode_none_is_no_policy(internet: Internet, tmp_path: Path) -> None:
    internet.show(internet.mx1, None)
    internet.publish("none", mx=())
    async with sender(internet, tmp_path) as target:
        assert await settle(target) == "gone"
    assert len(internet.mx1.taken) == 1


async def test_many_messages_at_once_arrive_once_each(internet: Internet, tmp_path: Path) -> None:
    import asyncio

    internet.publish("enforce")
    async with sender(internet, tmp_path) as target:
        recipients = [f"user{number}@there.example" for number in range(40)]
        await asyncio.gather(*(target.inject("alice@sender.example", one, b"x: y\r\n\r\nz") for one in recipients))
        await until(lambda: len(internet.mx1.taken) >= 40)
        assert await until_gone(target) == "gone"
    assert sorted(mail.recipient for mail in internet.mx1.taken) == sorted(recipients)
    assert internet.fetches() == 1


def spoil(internet: Internet, how: str) -> None:
    from datetime import UTC, datetime, timedelta

    name = "mx1.there.example"
    match how:
        case "untrusted":
            internet.show(internet.mx1, internet.server_context(name, issuer=internet.other_ca))
        case "wrong-name":
            internet.show(internet.mx1, internet.server_context("mx9.there.example"))
        case "expired":
            past = datetime.now(UTC) - timedelta(days=1)
            internet.show(internet.mx1, internet.server_context(name, not_after=past))
        case "no-starttls":
            internet.show(internet.mx1, None)
        case "refused":
            internet.mx1.refuses_starttls = "454 not now"


async def until_gone(target: object) -> str:
    from mta_sts_lab.reference.target import InProcessTarget

    assert isinstance(target, InProcessTarget)
    await until(lambda: not target.sender.queue())
    return "gone"
