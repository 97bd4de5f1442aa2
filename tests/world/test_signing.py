"""Signed answers as a validating resolver sees them, held against dnspython's own validation where that can be used."""

from __future__ import annotations

import time
from collections.abc import Iterable

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dns.zonefile
import pytest
from dns._features import have
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.target import DNSSEC
from mta_sts_lab.model.world import Dns, MxHost, Tlsa, World
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import SIGNED_ZONE, trust_anchor

from tests.world.clients import ask_by_udp

SIGNED = Dns(security="secure")

#: dnspython does not validate with the `cryptography` that mitmproxy takes on Python 3.11.
can_validate = pytest.mark.skipif(not have("dnssec"), reason="dnspython wants a newer `cryptography`")


async def case_world(internet: Internet, mx: MxHost, dns: Dns = SIGNED, mode: Mode = Mode.DANE) -> CaseWorld:
    world = World(mx=(mx,), dns=dns)
    return await internet.add_case(
        Case(f"dnssec/case[{mode}]", "dnssec/case", mode, (Step("prime", world),), needs=(DNSSEC,))
    )


async def answer(internet: Internet, name: str, kind: str, *, dnssec: bool = True) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=0, payload=4096, want_dnssec=dnssec)
    query.flags |= dns.flags.CD
    octets = await ask_by_udp(internet.network.where(internet.dns_address, 53, "udp"), query.to_wire())
    return dns.message.from_wire(octets)


def types(section: Iterable[dns.rrset.RRset]) -> list[str]:
    return [dns.rdatatype.to_text(one.rdtype) for one in section]


async def test_only_who_asks_for_signatures_gets_them(internet: Internet) -> None:
    world = await case_world(internet, MxHost(tlsa=(Tlsa(),)))
    name = f"_25._tcp.mx1.{world.domain}"
    assert world.domain.endswith(f".{SIGNED_ZONE}")
    assert types((await answer(internet, name, "TLSA")).answer) == ["TLSA", "RRSIG"]
    assert types((await answer(internet, name, "TLSA", dnssec=False)).answer) == ["TLSA"]


async def test_the_zone_above_vouches_for_a_secure_domain_alone(internet: Internet) -> None:
    secure = await case_world(internet, MxHost())
    assert types((await answer(internet, secure.domain, "DS")).answer) == ["DS", "RRSIG"]
    assert types((await answer(internet, secure.domain, "DNSKEY")).answer) == ["DNSKEY", "RRSIG"]
    for dns_settings, signed in ((Dns(), False), (Dns(island=True), True)):
        await secure.arrange(World(mx=(MxHost(),), dns=dns_settings))
        denial = await answer(internet, secure.domain, "DS")
        assert types(denial.answer) == []
        assert types(denial.authority) == ["SOA", "RRSIG", "NSEC", "RRSIG"]
        proof = denial.authority[2].to_text()
        assert "NS" in proof.split()
        assert "DS" not in proof.split()
        assert types((await answer(internet, secure.domain, "MX")).answer) == (["MX", "RRSIG"] if signed else ["MX"])


async def test_absence_is_denied_at_the_very_name(internet: Internet) -> None:
    world = await case_world(internet, MxHost())
    name = f"_25._tcp.mx1.{world.domain}"
    denial = await answer(internet, name, "TLSA")
    assert denial.rcode() == 0
    assert types(denial.authority) == ["SOA", "RRSIG", "NSEC", "RRSIG"]
    assert denial.authority[2].name == dns.name.from_text(name)


@can_validate
@pytest.mark.parametrize("kind", ["MX", "DS", "DNSKEY"])
async def test_signatures_are_what_dnspython_takes(internet: Internet, kind: str) -> None:
    world = await case_world(internet, MxHost())
    signed = await answer(internet, world.domain, kind)
    (anchor,) = dns.zonefile.read_rrsets(trust_anchor(internet.authority.certificate_pem), rdclass=None, default_ttl=0)
    zone = SIGNED_ZONE if kind == "DS" else world.domain
    keys = {dns.name.from_text(zone): dns.rrset.from_rdata_list(dns.name.from_text(zone), 0, list(anchor))}
    dns.dnssec.validate(signed.answer[0], signed.answer[1], keys)
    with pytest.raises(dns.dnssec.ValidationFailure):
        dns.dnssec.validate(signed.answer[0], signed.answer[1], keys, now=time.time() + 30 * 86400)


@can_validate
async def test_a_bogus_answer_is_signed_with_another_key(internet: Internet) -> None:
    world = await case_world(internet, MxHost(tlsa=(Tlsa(),), tlsa_security="bogus"))
    signed = await answer(internet, f"_25._tcp.mx1.{world.domain}", "TLSA")
    keys = {dns.name.from_text(world.domain): (await answer(internet, world.domain, "DNSKEY")).answer[0]}
    with pytest.raises(dns.dnssec.ValidationFailure):
        dns.dnssec.validate(signed.answer[0], signed.answer[1], keys)


async def test_a_control_case_has_no_signatures(internet: Internet) -> None:
    world = await case_world(internet, MxHost(tlsa=(Tlsa(),)), mode=Mode.ABSENT)
    assert types((await answer(internet, world.domain, "MX")).answer) == ["MX"]
    assert types((await answer(internet, world.domain, "DS")).answer) == []


def test_the_trust_anchor_goes_with_the_authority() -> None:
    authority = Authority.create()
    again = Authority.load(authority.certificate_pem, authority.private_key_pem)
    assert trust_anchor(authority.certificate_pem) == trust_anchor(again.certificate_pem)
    assert trust_anchor(authority.certificate_pem).startswith(f"{SIGNED_ZONE}. IN DNSKEY 257 3 13 ")
