"""A case's world as a whole: built, changed from step to step, and taken down."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import dnslib
import pytest
from mta_sts_lab.events import (
    BounceReceived,
    CaseBegan,
    ConnectionAccepted,
    DnsAnswered,
    LabFailed,
    MessageAccepted,
    MessageInjected,
    PolicyRequested,
    ReportReceived,
)
from mta_sts_lab.model.case import Case, Expectation, Message, Mode, Step
from mta_sts_lab.model.world import Dns, Family, MxHost, Policy, PolicyHost, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.domain_names import POLICY_PATH
from mta_sts_lab.world.address_pool import NoAddressLeft
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.message import probe_message
from mta_sts_lab.world.network import SENDER_DOMAIN, LoopbackNetwork
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.zone import Answer, Question

from tests.world.clients import SmtpClient, ask, request, trusting
from tests.world.test_message import BOUNCE
from tests.world.watching import facts

TOKEN = "0123456789abcdef"


#: What makes a case one about reports.
A_REPORT = Expectation(("any",), "STS-5-05", report=("any",), report_obligation="RPT-5-01")


def case_of(
    world: World | None = None,
    mode: Mode = Mode.ENFORCE,
    name: str = "starttls/strip",
    expect: Expectation | None = A_REPORT,
) -> Case:
    return Case(f"{name}[{mode.value}]", name, mode, (Step("prime", world or World(), expect=expect),))


async def texts(internet: Internet, name: str, kind: str) -> list[str]:
    reply = await ask(internet.network, internet.dns_address, name, kind)
    return [str(record.rdata).rstrip(".") for record in reply.rr]


async def policy_of(internet: Internet, world: CaseWorld) -> list[str]:
    return await policy_at(internet, world.domain)


async def policy_at(internet: Internet, domain: str) -> list[str]:
    name = f"mta-sts.{domain}"
    (address,) = await texts(internet, name, "A")
    where = internet.network.where(address, 443)
    status, _, body = await request(where, name, trusting(internet.authority), POLICY_PATH)
    assert status == 200
    return body.decode().split("\r\n")


async def test_a_fresh_case(internet: Internet, recorder: Recorder) -> None:
    case = case_of()
    world = await internet.add_case(case)
    domain = world.domain
    assert re.fullmatch(r"[0-9a-f]{12}\.example", domain)
    assert facts(recorder, CaseBegan, case.id) == [CaseBegan(domain=domain, mode="enforce")]
    assert await texts(internet, domain, "MX") == [f"10 mx1.{domain}"]
    assert await texts(internet, f"mx1.{domain}", "A") == [world.mx[0].address]
    assert await texts(internet, f"mta-sts.{domain}", "A") == [world.mx[0].address], "one address a case"
    (record,) = await texts(internet, f"_mta-sts.{domain}", "TXT")
    assert re.fullmatch(r'"v=STSv1; id=[0-9a-f]{16};"', record)
    label = domain.partition(".")[0]
    assert await texts(internet, f"_smtp._tls.{domain}", "TXT") == [
        f'"v=TLSRPTv1; rua=https://reports.lab.example/v1/{label},mailto:tls-reports@{label}.reports.lab.example"'
    ]
    assert await policy_of(internet, world) == [
        "version: STSv1", "mode: enforce", f"mx: mx1.{domain}", "max_age: 604800", ""
    ]  # fmt: skip
    (requested,) = facts(recorder, PolicyRequested, case.id)
    assert f"id={requested.policy_id};" in record
    assert {fact.name for fact in facts(recorder, DnsAnswered, case.id)} >= {domain, f"_mta-sts.{domain}"}


async def test_an_internationalised_domain_stands_in_a_labels_everywhere(internet: Internet) -> None:
    world = await internet.add_case(case_of(World(internationalised=True)))
    domain = world.domain
    assert re.fullmatch(r"xn--[0-9a-z-]+\.example", domain)
    assert re.fullmatch(r"büro-[0-9a-f]{12}\.example", domain.encode().decode("idna"))
    assert await texts(internet, domain, "MX") == [f"10 mx1.{domain}"]
    assert f"mx: mx1.{domain}" in await policy_of(internet, world)


async def test_mail_arrives_and_its_bounce_comes_back(internet: Internet, recorder: Recorder) -> None:
    case = case_of()
    world = await internet.add_case(case)
    probe = probe_message(TOKEN, SENDER_DOMAIN, world.domain, "Figures")
    client = await SmtpClient.dial(internet.network.where(world.mx[0].address, 25))
    await client.reply()
    await client.say("EHLO target.example")
    await client.say("STARTTLS")
    await client.start_tls(trusting(internet.authority, strict=True), f"mx1.{world.domain}")
    await client.say("EHLO target.example")
    assert (await client.deliver(probe.sender, probe.recipient, probe.content)).startswith("250")
    await client.say("QUIT")
    await client.close()
    (message,) = facts(recorder, MessageAccepted, case.id)
    assert (message.tokens, message.body_digest, message.secured) == ((TOKEN,), probe.digest, True)

    assert await texts(internet, SENDER_DOMAIN, "MX") == [f"10 mx.{SENDER_DOMAIN}"]
    (address,) = await texts(internet, f"mx.{SENDER_DOMAIN}", "A")
    client = await SmtpClient.dial(internet.network.where(address, 25))
    await client.reply()
    await client.say("EHLO target.example")
    content = BOUNCE.replace(b"\n", b"\r\n")
    named = content.replace(b"One@c0ffee.example", probe.recipient.encode())
    assert (await client.deliver("", probe.sender, named)).startswith("250")
    recorder.write(
        MessageInjected(token=TOKEN, sender=probe.sender, recipient=probe.recipient, reply="250", body_digest=""),
        case.id,
    )
    assert (await client.deliver("", probe.sender, b"Subject: sorry\r\n\r\n")).startswith("250")
    await client.say("QUIT")
    await client.close()
    assert [(fact.token, fact.action) for fact in facts(recorder, BounceReceived, case.id)] == [
        (TOKEN, "failed"),
        (TOKEN, "unreadable"),
    ]
    assert [fact.role for fact in facts(recorder, MessageAccepted)] == ["sender-mx", "sender-mx"]


async def test_a_case_that_is_not_about_reports_wants_none(internet: Internet) -> None:
    world = await internet.add_case(case_of(expect=None))
    answer = await ask(internet.network, internet.dns_address, f"_smtp._tls.{world.domain}", "TXT")
    assert (answer.header.rcode, answer.rr) == (dnslib.RCODE.NXDOMAIN, [])
    assert await texts(internet, f"_mta-sts.{world.domain}", "TXT") != []
    asking = Case("rpt-mail/x[absent]", "rpt-mail/x", Mode.ABSENT, (Step("report", World(), send=False, reports=True),))
    world = await internet.add_case(asking)
    assert await texts(internet, f"_smtp._tls.{world.domain}", "TXT") != []


async def test_without_a_policy_nothing_of_one_is_published(internet: Internet) -> None:
    world = await internet.add_case(case_of(World(policy=Policy(mode="enforce")), Mode.ABSENT))
    for name in (f"_mta-sts.{world.domain}", f"mta-sts.{world.domain}"):
        for kind in ("TXT", "A"):
            reply = await ask(internet.network, internet.dns_address, name, kind)
            assert reply.header.rcode == dnslib.RCODE.NXDOMAIN
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*internet.network.where(world.mx[0].address, 443))
    assert await texts(internet, f"_smtp._tls.{world.domain}", "TXT")
    assert await texts(internet, world.domain, "MX") == [f"10 mx1.{world.domain}"]


async def test_names_are_relative_to_the_domain(internet: Internet) -> None:
    bent = World(
        mx=(MxHost("", 5), MxHost("a.mail", 10), MxHost("b.mail", 20, reachable=False)),
        policy=Policy(mode="testing", mx=("", "*.mail"), max_age=60),
        dns=Dns(("v=STSv1; id={id};", "noise")),
    )
    world = await internet.add_case(case_of(bent))
    domain = world.domain
    assert await texts(internet, domain, "MX") == [f"5 {domain}", f"10 a.mail.{domain}", f"20 b.mail.{domain}"]
    addresses = [await texts(internet, name, "A") for name in (domain, f"a.mail.{domain}", f"b.mail.{domain}")]
    assert addresses == [[host.address] for host in world.mx]
    assert len({host.address for host in world.mx}) == 3
    assert (await policy_of(internet, world))[1:] == [
        "mode: testing", f"mx: {domain}", f"mx: *.mail.{domain}", "max_age: 60", ""
    ]  # fmt: skip
    assert len(await texts(internet, f"_mta-sts.{domain}", "TXT")) == 2
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*internet.network.where(world.mx[2].address, 25))


async def test_the_recipient_is_where_the_message_says(internet: Internet) -> None:
    world = await internet.add_case(case_of())
    assert world.recipient_domain(Message()) == world.domain
    assert world.recipient_domain(Message(to="in-capitals")) == world.domain.upper() != world.domain
    assert world.recipient_domain(Message(to="behind-smart-host")) == f"behind.{world.domain}"
    assert world.recipient_domain(Message(to="address")) == f"[{world.mx[0].address}]"


@pytest.mark.parametrize(
    ("changed", "domain_of", "mode"),
    [
        ({"parent_policy": True}, lambda domain: domain.partition(".")[2], "enforce"),
        ({"recipient_policy": "none"}, lambda domain: f"behind.{domain}", "none"),
    ],
    ids=["of the domain above", "of the recipient behind a smart host"],
)
async def test_a_policy_of_another_domain(
    internet: Internet, changed: dict[str, Any], domain_of: Callable[[str], str], mode: str
) -> None:
    """It is published beside the case's own, and goes with the case. An absent case has none."""
    absent = await internet.add_case(case_of(World(**changed), Mode.ABSENT))
    assert await texts(internet, f"_mta-sts.{domain_of(absent.domain)}", "TXT") == []
    world = await internet.add_case(case_of(World(**changed)))
    other = domain_of(world.domain)
    assert len(await texts(internet, f"_mta-sts.{other}", "TXT")) == 1
    assert len(await texts(internet, f"_mta-sts.{world.domain}", "TXT")) == 1
    assert (await policy_at(internet, other))[1:3] == [f"mode: {mode}", f"mx: mx.{other}"]
    await internet.remove_case(world)
    assert await texts(internet, f"_mta-sts.{other}", "TXT") == []


async def test_a_step_changes_only_what_differs(internet: Internet) -> None:
    world = await internet.add_case(case_of())
    before, where = world.mx[0], internet.network.where(world.mx[0].address, 25)
    (record,) = await texts(internet, f"_mta-sts.{world.domain}", "TXT")
    await world.arrange(World(mx=(MxHost("backup"), MxHost(certificate="expired", preference=20))))
    assert world.mx[1] is before
    assert internet.network.where(before.address, 25) == where
    assert before.settings.certificate == "expired"
    assert await texts(internet, world.domain, "MX") == [f"10 backup.{world.domain}", f"20 mx1.{world.domain}"]
    assert await texts(internet, f"_mta-sts.{world.domain}", "TXT") == [record]
    assert f"mx: backup.{world.domain}" in await policy_of(internet, world)

    await world.arrange(
        World(mx=(MxHost("backup"),), policy=Policy(revision=2), policy_host=PolicyHost(reachable=False))
    )
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*internet.network.where(before.address, 25))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*internet.network.where(before.address, 443))
    assert await texts(internet, f"_mta-sts.{world.domain}", "TXT") != [record]
    # Whoever asked for the MX record before must find a host that is away, and not none at all.
    assert await texts(internet, f"mx1.{world.domain}", "A") == [before.address]
    assert await texts(internet, world.domain, "MX") == [f"10 backup.{world.domain}"]

    await world.arrange(World())
    assert world.mx == [before]
    assert await texts(internet, f"_mta-sts.{world.domain}", "TXT") == [record]
    assert "mode: enforce" in await policy_of(internet, world)


async def test_cases_share_nothing(internet: Internet) -> None:
    worlds = [await internet.add_case(case_of(mode=mode)) for mode in Mode]
    assert len({world.domain for world in worlds}) == len(worlds)
    assert len({world.mx[0].address for world in worlds}) == len(worlds)


async def test_the_seed_decides_the_names(authority: Authority, internet: Internet) -> None:
    same = await Internet.open(LoopbackNetwork(), authority, Recorder(), seed=7)
    other = await Internet.open(LoopbackNetwork(), authority, Recorder(), seed=8)
    names = [(await each.add_case(case_of())).domain for each in (internet, same, other)]
    assert names[0] == names[1] != names[2]
    await same.close()
    await other.close()


async def test_an_attack_on_the_name_server_touches_one_case(internet: Internet) -> None:
    struck, spared = [await internet.add_case(case_of(mode=mode)) for mode in (Mode.ENFORCE, Mode.ABSENT)]

    def forge(question: Question, honest: Answer) -> Answer:
        return Answer("SERVFAIL", (), "break_mx") if question.type == "MX" else honest

    struck.set_tamper(forge)
    await struck.arrange(World())
    assert await texts(internet, struck.domain, "MX") == []
    assert await texts(internet, spared.domain, "MX") != []
    struck.set_tamper(None)
    assert await texts(internet, struck.domain, "MX") != []


async def test_the_attacker_has_a_host_of_his_own(internet: Internet, recorder: Recorder) -> None:
    case = case_of()
    world = await internet.add_case(case)
    evil = await world.attacker_mx()
    assert await world.attacker_mx() is evil
    assert not evil.name.endswith(world.domain)
    assert await texts(internet, evil.name, "A") == [evil.address]
    assert facts(recorder, DnsAnswered, case.id)[-1].name == evil.name
    client = await SmtpClient.dial(internet.network.where(evil.address, 25))
    await client.reply()
    await client.say("EHLO target.example")
    await client.say("STARTTLS")
    await client.start_tls(trusting(internet.authority, strict=True), evil.name)
    await client.say("EHLO target.example")
    assert (await client.deliver("a@b.example", f"x@{world.domain}", b"Subject: x\r\n\r\n")).startswith("250")
    await client.close()
    assert facts(recorder, ConnectionAccepted, case.id)[-1].role == "attacker-mx"
    await internet.remove_case(world)
    assert await texts(internet, evil.name, "A") == []


async def test_a_removed_case_leaves_nothing(internet: Internet) -> None:
    world = await internet.add_case(case_of())
    await internet.remove_case(world)
    assert (await ask(internet.network, internet.dns_address, world.domain, "MX")).header.rcode == dnslib.RCODE.REFUSED
    for port in (25, 443):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*internet.network.where(world.mx[0].address, port))


async def test_reports_find_their_case_by_their_place_alone(internet: Internet, recorder: Recorder) -> None:
    case = case_of()
    world = await internet.add_case(case)
    (record,) = await texts(internet, f"_smtp._tls.{world.domain}", "TXT")
    path = record.partition("rua=https://reports.lab.example")[2].partition(",")[0]
    (address,) = await texts(internet, "reports.lab.example", "A")
    status, _, _ = await request(
        internet.network.where(address, 443),
        "reports.lab.example",
        trusting(internet.authority, strict=True),
        path,
        "POST",
        ("Content-Type: application/tlsrpt+json",),
        b"no report at all",
    )
    assert status == 201
    (fact,) = facts(recorder, ReportReceived, case.id)
    assert (fact.octets, fact.place) == (b"no report at all", f"https://reports.lab.example{path}")


async def test_the_keys_of_report_mail_are_published_within_the_sender_s_domain(internet: Internet) -> None:
    internet.publish_keys({"lab._domainkey.sender.example": "v=DKIM1; p=AAAA", "_mta-sts.elsewhere.example": "v=STSv1"})
    assert await texts(internet, "lab._domainkey.sender.example", "TXT") == ['"v=DKIM1; p=AAAA"']
    assert await texts(internet, "sender.example", "MX") != []
    answer = await ask(internet.network, internet.dns_address, "_mta-sts.elsewhere.example", "TXT")
    assert answer.header.rcode == dnslib.RCODE.REFUSED


async def test_addresses_come_from_the_prefix_until_none_is_left(authority: Authority) -> None:
    internet = await Internet.open(LoopbackNetwork(), authority, Recorder(), {Family.IPV4: "198.18.64.0/29"})
    assert internet.dns_address == "198.18.64.1"
    assert (internet.sender_mx.address, internet.reports.address) == ("198.18.64.2", "198.18.64.3")
    assert await texts(internet, "ns.lab.example", "A") == ["198.18.64.1"]
    for name in "abcd":
        await internet.add_case(case_of(name=name))
    with pytest.raises(NoAddressLeft):
        await internet.add_case(case_of(name="e"))
    await internet.close()


async def test_an_exception_that_nobody_could_catch_is_a_lab_error(authority: Authority) -> None:
    recorder = Recorder()
    internet = await Internet.open(LoopbackNetwork(), authority, recorder)
    asyncio.get_running_loop().call_soon(lambda: 1 // 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (failed,) = facts(recorder, LabFailed)
    assert "ZeroDivisionError" in failed.error
    await internet.close()
    assert asyncio.get_running_loop().get_exception_handler() is None


async def test_a_failed_start_leaves_nothing_behind(authority: Authority) -> None:
    network = LoopbackNetwork()
    first = await Internet.open(network, authority, Recorder())
    with pytest.raises(Exception, match=r"198\.18\.64\.1 port 53"):
        await Internet.open(network, authority, Recorder())
    await first.close()
    second = await Internet.open(network, authority, Recorder())
    await second.close()


async def test_a_host_without_an_address_is_named_all_the_same(internet: Internet) -> None:
    world = await internet.add_case(case_of(World(mx=(MxHost("mx1", address=False), MxHost("mx2", 20)))))
    domain = world.domain
    assert await texts(internet, domain, "MX") == [f"10 mx1.{domain}", f"20 mx2.{domain}"]
    assert await texts(internet, f"mx1.{domain}", "A") == []
    assert await texts(internet, f"mx2.{domain}", "A") == [world.mx[1].address]


@pytest.mark.parametrize(
    ("families", "types"),
    [((Family.IPV4,), ["A"]), ((Family.IPV6,), ["AAAA"]), ((Family.IPV4, Family.IPV6), ["A", "AAAA"])],
)
async def test_every_host_has_an_address_of_each_family(
    authority: Authority, families: tuple[Family, ...], types: list[str]
) -> None:
    internet = await Internet.open(LoopbackNetwork(), authority, Recorder(), families=families)
    world = await internet.add_case(case_of())
    names = [world.mx[0].name, world.policy_server.name, "mx.sender.example", "reports.lab.example"]
    for name in (*names, (await world.attacker_mx()).name):
        there = {kind for kind in ("A", "AAAA") if await texts(internet, name, kind)}
        assert there == set(types), name
    assert await texts(internet, world.mx[0].name, types[-1]) == [world.mx[0].addresses[-1]]
    assert internet.dns_address == "198.18.64.1"
    await internet.close()


async def test_a_host_can_have_its_address_in_one_family_alone(authority: Authority) -> None:
    internet = await Internet.open(LoopbackNetwork(), authority, Recorder(), families=tuple(Family))
    world = await internet.add_case(case_of(World(mx=(MxHost(only_over=Family.IPV6),))))
    assert await texts(internet, world.mx[0].name, "A") == []
    assert await texts(internet, world.mx[0].name, "AAAA") == [world.mx[0].addresses[1]]
    await internet.close()
    internet = await Internet.open(LoopbackNetwork(), authority, Recorder(), families=(Family.IPV4,))
    world = await internet.add_case(case_of(World(mx=(MxHost(only_over=Family.IPV6),))))
    assert await texts(internet, world.mx[0].name, "A") == [world.mx[0].address], "there is no other family"
    await internet.close()
