from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from mta_sts_lab.attacks.forge_policy_id import FORGED_ID
from mta_sts_lab.attacks.toolkit.attack import DnsContext, UnknownParameter
from mta_sts_lab.attacks.toolkit.controller import AttackController, ConflictingAttacks, UnknownHost
from mta_sts_lab.attacks.toolkit.registry import ATTACKS
from mta_sts_lab.events import AttackFired, ConnectionClosed, ConnectionDenied, LabFailed, SmtpSaid
from mta_sts_lab.model.case import AttackUse, Case, Mode, Step
from mta_sts_lab.model.target import IPV6
from mta_sts_lab.model.world import MxHost, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.path import StraightPath
from mta_sts_lab.world.zone import Answer, Question

from tests.attacks.loopback_hosts import AUTHORITY

WORLD = World(mx=(MxHost("mx1", 10), MxHost("mx2", 20)))


@dataclass
class AttackedCase:
    internet: Internet
    world: CaseWorld
    attack_controller: AttackController
    recorder: Recorder

    def ask(self, name: str, kind: str) -> Answer:
        return self.internet.zone.answer(Question(name, kind))

    @property
    def policy_name(self) -> str:
        return f"_mta-sts.{self.world.domain}"

    def fired(self) -> list[tuple[str, str]]:
        facts = [event.fact for event in self.recorder.of_case(self.world.case)]
        return [(fact.attack, fact.channel) for fact in facts if isinstance(fact, AttackFired)]

    def facts(self, kind: type) -> list:
        return [event.fact for event in self.recorder.of_case(self.world.case) if isinstance(event.fact, kind)]

    async def until(self, kind: type) -> list:
        while not (found := self.facts(kind)):
            assert await self.recorder.changed(self.world.case, 10), f"no {kind.__name__}"
        return found

    async def ehlo(self, number: int, family: int = 0) -> bytes:
        """Return what the MX host of that number, or whoever stands in front of it, offers at one of its addresses."""
        host = self.world.mx[number]
        where = self.internet.network.where(host.addresses[family], host.port)
        reader, writer = await asyncio.open_connection(*where)
        await reader.readline()
        writer.write(b"EHLO a\r\n")
        told = await reader.readuntil(b"250 HELP\r\n")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return told


@contextlib.asynccontextmanager
async def attacked_case(needs: tuple[str, ...] = ()) -> AsyncIterator[AttackedCase]:
    before = asyncio.all_tasks()
    recorder = Recorder()
    internet = await Internet.open(LoopbackNetwork(), AUTHORITY, recorder)
    case = Case("starttls/strip[enforce]", "starttls/strip", Mode.ENFORCE, (Step("attack", WORLD),), needs=needs)
    world = await internet.add_case(case)
    attack_controller = AttackController(recorder, AUTHORITY)
    try:
        yield AttackedCase(internet, world, attack_controller, recorder)
    finally:
        await attack_controller.end(world)
        await internet.close()
        assert not [event for event in recorder.of_case("") if isinstance(event.fact, LabFailed)]
        left = asyncio.all_tasks() - before
        assert not left, f"stray tasks: {left}"


async def test_smtp_attacks_stand_in_front_of_every_mx_host_and_leave_again() -> None:
    async with attacked_case() as field:
        assert b"STARTTLS" in await field.ehlo(0)
        await field.attack_controller.begin(field.world, (AttackUse("strip_starttls", "smtp"),))
        assert b"STARTTLS" not in await field.ehlo(0)
        assert b"STARTTLS" not in await field.ehlo(1)
        await field.attack_controller.end(field.world)
        assert b"STARTTLS" in await field.ehlo(0)
        assert field.fired() == [("strip_starttls", "smtp")] * 2


async def test_the_parameter_host_limits_an_attack_to_one_mx_host() -> None:
    async with attacked_case() as field:
        attacks = (
            AttackUse("strip_starttls", "smtp", {"host": "mx1"}),
            AttackUse("mask_starttls", "smtp", {"host": "mx2"}),
        )
        await field.attack_controller.begin(field.world, attacks)
        assert b"XXXXXXXX" not in await field.ehlo(0)
        assert b"XXXXXXXX" in await field.ehlo(1)
        assert field.fired() == [("strip_starttls", "smtp"), ("mask_starttls", "smtp")]


@pytest.mark.parametrize(
    ("attacks", "error"),
    [
        ((AttackUse("strip_starttls", "smtp"), AttackUse("refuse_ehlo", "smtp", {"host": "mx2"})), ConflictingAttacks),
        ((AttackUse("block_policy_host", "https"), AttackUse("swap_policy_certificate", "https")), ConflictingAttacks),
        ((AttackUse("strip_starttls", "smtp"), AttackUse("mask_starttls", "smtp", {"host": "mx9"})), UnknownHost),
        ((AttackUse("strip_starttls", "smtp"), AttackUse("hide_policy_record", "dns", {"how": "x"})), UnknownParameter),
        ((AttackUse("strip_starttls", "smtp"), AttackUse("no_such_attack", "smtp")), KeyError),
    ],
)
async def test_what_cannot_be_put_in_place_leaves_nothing_in_place(attacks: tuple[AttackUse, ...], error: type) -> None:
    async with attacked_case() as field:
        with pytest.raises(error):
            await field.attack_controller.begin(field.world, attacks)
        assert all(isinstance(host.path, StraightPath) for host in (*field.world.mx, field.world.policy_server))
        assert b"STARTTLS" in await field.ehlo(0)


async def test_an_attack_on_one_family_leaves_the_other_alone() -> None:
    async with attacked_case(needs=(IPV6,)) as field:
        use = AttackUse("strip_starttls", "smtp", {"family": "ipv6", "host": "mx1"})
        await field.attack_controller.begin(field.world, (use,))
        assert b"STARTTLS" in await field.ehlo(0, 0)
        assert not field.fired()
        assert b"STARTTLS" not in await field.ehlo(0, 1)
        assert field.fired() == [("strip_starttls", "smtp")]
        assert b"STARTTLS" in await field.ehlo(1, 1), "another host"
        await field.attack_controller.end(field.world)
        assert b"STARTTLS" in await field.ehlo(0, 1)


async def test_ending_a_step_ends_its_live_sessions() -> None:
    async with attacked_case() as field:
        await field.attack_controller.begin(field.world, (AttackUse("strip_starttls", "smtp"),))
        host = field.world.mx[0]
        reader, writer = await asyncio.open_connection(*field.internet.network.where(host.address, host.port))
        await reader.readline()
        await field.attack_controller.end(field.world)
        assert field.facts(ConnectionClosed)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert not field.facts(LabFailed)


async def test_a_new_step_replaces_the_attacks_of_the_old_one() -> None:
    async with attacked_case() as field:
        await field.attack_controller.begin(field.world, (AttackUse("hide_policy_record", "dns"),))
        assert field.ask(field.policy_name, "TXT").rcode == "NXDOMAIN"
        await field.attack_controller.begin(field.world, (AttackUse("mask_starttls", "smtp"),))
        assert field.ask(field.policy_name, "TXT").rcode == "NOERROR"
        assert b"XXXXXXXX" in await field.ehlo(0)


async def test_forge_mx_leads_to_the_attackers_own_host() -> None:
    async with attacked_case() as field:
        await field.attack_controller.begin(field.world, (AttackUse("forge_mx", "dns"),))
        assert field.fired() == []
        answer = field.ask(field.world.domain, "MX")
        attacker = await field.world.attacker_mx()
        assert [record.data for record in answer.records] == [f"10 {attacker.name}"]
        assert field.ask(attacker.name, "A").records[0].data == attacker.address
        field.ask(field.world.domain, "MX")
        assert field.fired() == [("forge_mx", "dns")]


async def test_dns_attacks_work_one_after_the_other() -> None:
    async with attacked_case() as field:
        both = (AttackUse("forge_policy_id", "dns"), AttackUse("hide_policy_record", "dns", {"how": "SERVFAIL"}))
        await field.attack_controller.begin(field.world, both)
        assert field.ask(field.policy_name, "TXT").rcode == "SERVFAIL"
        assert field.fired() == [("forge_policy_id", "dns"), ("hide_policy_record", "dns")]
        await field.attack_controller.begin(field.world, both[::-1])
        assert field.ask(field.policy_name, "TXT") == Answer("SERVFAIL", (), "hide_policy_record")
        assert field.fired()[2:] == [("hide_policy_record", "dns")]


async def test_forged_ids_reach_the_wire_of_the_zone() -> None:
    async with attacked_case() as field:
        await field.attack_controller.begin(field.world, (AttackUse("forge_policy_id", "dns"),))
        (record,) = field.ask(field.policy_name, "TXT").records
        assert FORGED_ID in record.data


async def test_a_refusing_policy_host_fires_when_its_address_is_given_out() -> None:
    async with attacked_case() as field:
        server = field.world.policy_server
        await field.attack_controller.begin(field.world, (AttackUse("block_policy_host", "https", {"how": "refuse"}),))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*field.internet.network.where(server.address, server.port))
        assert field.fired() == []
        assert field.ask(server.name, "A").tampered_by == ""
        assert field.fired() == [("block_policy_host", "https")]
        await field.attack_controller.end(field.world)
        _, writer = await asyncio.open_connection(*field.internet.network.where(server.address, server.port))
        writer.close()


@pytest.mark.parametrize(("how", "denied"), [("reset", "reset"), ("stall", "stalled")])
async def test_a_blocked_policy_host_denies_connections(how: str, denied: str) -> None:
    async with attacked_case() as field:
        server = field.world.policy_server
        await field.attack_controller.begin(field.world, (AttackUse("block_policy_host", "https", {"how": how}),))
        _, writer = await asyncio.open_connection(*field.internet.network.where(server.address, server.port))
        (fact,) = await field.until(ConnectionDenied)
        assert fact.how == denied
        await field.attack_controller.end(field.world)
        writer.close()
        assert field.fired() == [("block_policy_host", "https")]
        assert not field.facts(LabFailed)


async def test_ending_what_never_began_is_nothing() -> None:
    async with attacked_case() as field:
        await field.attack_controller.end(field.world)
        assert not field.facts(SmtpSaid)


async def test_a_forger_that_changes_nothing_does_not_fire(monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(_: DnsContext, __: Question, answer: Answer) -> Answer:
        return replace(answer, tampered_by="forge_mx")

    monkeypatch.setitem(ATTACKS, "forge_mx", replace(ATTACKS["forge_mx"], tamper=idle))
    async with attacked_case() as field:
        honest = field.ask(field.world.domain, "MX")
        await field.attack_controller.begin(field.world, (AttackUse("forge_mx", "dns"),))
        assert field.ask(field.world.domain, "MX") == honest
        assert field.fired() == []


async def test_a_forged_answer_bears_the_name_of_the_attack_that_forged_it_last() -> None:
    async with attacked_case() as field:
        uses = (AttackUse("forge_mx", "dns"), AttackUse("fail_mx_lookup", "dns"))
        await field.attack_controller.begin(field.world, uses)
        assert field.ask(field.world.domain, "MX").tampered_by == "fail_mx_lookup"
        assert field.fired() == [("forge_mx", "dns"), ("fail_mx_lookup", "dns")]
