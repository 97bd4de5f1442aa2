"""What the reference sender's own validation makes of answers, honest and forged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.target import DNSSEC
from mta_sts_lab.model.world import Dns, MxHost, Tlsa, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.reference.dnssec import Validator
from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.resolver import (
    Found,
    LookupFailure,
    NoData,
    Resolver,
    TlsaRecord,
)
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import trust_anchor
from mta_sts_lab.world.zone import Answer, Question

SIGNED = Dns(security="secure")


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    internet = await Internet.open(LoopbackNetwork(), Authority.create(), Recorder(), seed=7)
    yield internet
    await internet.close()


def resolver_of(internet: Internet, flaws: Flaws = NO_FLAWS) -> Resolver:
    resolver = Resolver(internet.network, internet.dns_address, 2.0)
    anchor = trust_anchor(internet.authority.certificate_pem)
    resolver.validator = Validator(anchor, resolver.for_validation, flaws)
    return resolver


async def case_world(internet: Internet, dns: Dns = SIGNED, mx: MxHost | None = None) -> CaseWorld:
    world = World(mx=(mx or MxHost(tlsa=(Tlsa(),)),), dns=dns)
    case = Case("dnssec/case[dane]", "dnssec/case", Mode.DANE, (Step("prime", world),), needs=(DNSSEC,))
    return await internet.add_case(case)


async def tlsa(internet: Internet, world: CaseWorld, flaws: Flaws = NO_FLAWS) -> object:
    return await resolver_of(internet, flaws).tlsa(f"_25._tcp.mx1.{world.domain}")


async def test_a_signed_domain_is_secure_with_what_it_has_and_has_not(internet: Internet) -> None:
    world = await case_world(internet)
    resolver = resolver_of(internet)
    mx = await resolver.mx(world.domain)
    assert isinstance(mx, Found)
    assert mx.secure
    assert (await resolver.addresses(f"mx1.{world.domain}")).secure  # type: ignore[union-attr]
    found = await tlsa(internet, world)
    assert isinstance(found, Found)
    assert found.secure
    assert isinstance(found.values[0], TlsaRecord)
    assert await resolver.tlsa(f"_25._tcp.mx2.{world.domain}") == NoData(secure=True)


@pytest.mark.parametrize("dns", [Dns(), Dns(island=True)], ids=["unsigned", "island"])
async def test_a_domain_that_nothing_vouches_for_is_insecure(internet: Internet, dns: Dns) -> None:
    world = await case_world(internet, dns)
    found = await tlsa(internet, world)
    assert isinstance(found, Found)
    assert not found.secure


async def test_the_ad_bit_counts_above_no_anchor_alone(internet: Internet) -> None:
    world = await case_world(internet, Dns())
    world.set_tamper(lambda question, answer: replace(answer, claims_ad=True))
    found = await tlsa(internet, world)
    assert isinstance(found, Found)
    assert not found.secure


def without_signatures(question: Question, answer: Answer) -> Answer:
    return replace(answer, records=tuple(one for one in answer.records if one.type != "RRSIG"))


def denied(kind: str) -> Callable[[Question, Answer], Answer]:
    return lambda question, answer: Answer("NOERROR") if question.type == kind else answer


def other_data(question: Question, answer: Answer) -> Answer:
    if question.type != "TLSA":
        return answer
    return replace(answer, records=(replace(answer.records[0], data=f"3 1 1 {'00' * 32}"), *answer.records[1:]))


@pytest.mark.parametrize(
    "tamper",
    [without_signatures, other_data, denied("TLSA"), denied("DS"), denied("DNSKEY")],
    ids=["stripped", "forged", "denied", "no-ds", "no-dnskey"],
)
async def test_what_is_not_signed_as_it_ought_to_be_is_a_failure(
    internet: Internet, tamper: Callable[[Question, Answer], Answer]
) -> None:
    world = await case_world(internet)
    world.set_tamper(tamper)
    assert isinstance(await tlsa(internet, world), LookupFailure)


async def test_an_answer_of_last_month_is_a_failure(internet: Internet) -> None:
    world = await case_world(internet)
    world.set_tamper(lambda question, answer: internet.zone.honest(question, 30))
    assert isinstance(await tlsa(internet, world), LookupFailure)


async def test_a_signature_of_another_key_is_a_failure(internet: Internet) -> None:
    world = await case_world(internet, mx=MxHost(tlsa=(Tlsa(),), tlsa_security="bogus"))
    assert isinstance(await tlsa(internet, world), LookupFailure)
    assert isinstance(await tlsa(internet, world, Flaws(checks_no_signature=True)), Found)
