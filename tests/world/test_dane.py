"""A domain with DANE: its TLSA records, the security of its answers, and how both look to a client of the resolver."""

from __future__ import annotations

from dataclasses import replace

import dnslib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mta_sts_lab.events import DnsAnswered
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.world import CERTIFICATE_VARIANTS, Dns, MxHost, Tlsa, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.tlsa import TlsaRecord, read_tlsa
from mta_sts_lab.world.dane import security_of, tlsa_records
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.zone import Answer, Question, Record, Security, Zone

from tests.world.clients import ask_by_udp
from tests.world.test_internet import case_of
from tests.world.watching import facts

DOMAIN = "c0ffee.example"
HOST = f"mx1.{DOMAIN}"
NAME = f"_25._tcp.{HOST}"
SIGNED = Dns(security="secure")


def published(mx: MxHost, authority: Authority) -> TlsaRecord:
    (record,) = [one for one in tlsa_records(mx, DOMAIN, authority) if one.type == "TLSA"]
    found = read_tlsa(record.data)
    assert found is not None
    return found


def der(pem: bytes) -> tuple[bytes, bytes]:
    certificate = x509.load_pem_x509_certificate(pem)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_bytes(Encoding.DER), key


@pytest.mark.parametrize("variant", CERTIFICATE_VARIANTS)
@pytest.mark.parametrize("selector", [0, 1])
def test_a_record_of_what_is_shown_matches_what_is_shown(authority: Authority, variant: str, selector: int) -> None:
    mx = MxHost(certificate=variant, tlsa=(Tlsa(3, selector, 1),))
    assert published(mx, authority).matches(*der(authority.credentials(variant, HOST).chain_pem))


def test_records_of_others_do_not_match_what_is_shown(authority: Authority) -> None:
    shown = der(authority.credentials("valid", HOST).chain_pem)
    for other in ("nobody", "self-signed", "authority", "stranger"):
        record = published(MxHost(tlsa=(Tlsa(of=other),)), authority)
        assert record.usable
        assert not record.matches(*shown)


def test_records_of_authorities_match_what_a_host_sends_behind_its_own(authority: Authority) -> None:
    for variant, subject in (("valid", "authority"), ("untrusted", "stranger")):
        record = published(MxHost(certificate=variant, tlsa=(Tlsa(2, 0, 2, of=subject),)), authority)
        chain = authority.with_issuer(authority.credentials(variant, HOST)).chain_pem
        certificates = x509.load_pem_x509_certificates(chain)
        assert [record.matches(*der(one.public_bytes(Encoding.PEM))) for one in certificates] == [False, True]


def test_broken_records(authority: Authority) -> None:
    assert not published(MxHost(tlsa=(Tlsa(cut=1),)), authority).usable
    assert not published(MxHost(tlsa=(Tlsa(matching=7),)), authority).usable


def test_the_records_can_stand_behind_an_alias(authority: Authority) -> None:
    alias, record = tlsa_records(MxHost(tlsa=(Tlsa(),), tlsa_alias=True), DOMAIN, authority)
    assert (alias.name, alias.type, alias.data) == (NAME, "CNAME", record.name)


@pytest.mark.parametrize(
    ("security", "name", "kind", "state"),
    [
        (Security("secure"), HOST, "A", "secure"),
        (Security("secure"), HOST, "AAAA", "secure"),
        (Security("secure"), f"none.{DOMAIN}", "A", "secure"),
        (Security("secure", {(HOST, "A"): "insecure"}), HOST, "A", "insecure"),
        (Security("secure", {(f"alias.{DOMAIN}", "CNAME"): "insecure"}), f"alias.{DOMAIN}", "A", "insecure"),
        (Security("secure", {(HOST, "A"): "bogus"}), f"alias.{DOMAIN}", "A", "bogus"),
        (Security(), HOST, "A", "insecure"),
    ],
)
def test_an_answer_is_as_secure_as_the_least_secure_part_of_it(
    security: Security, name: str, kind: str, state: str
) -> None:
    zone = Zone()
    records = [Record(HOST, "A", "198.18.64.4"), Record(f"alias.{DOMAIN}", "CNAME", HOST)]
    zone.publish(DOMAIN, records, security=security)
    assert zone.answer(Question(name, kind)).security == state


def test_a_forged_answer_about_a_signed_name_is_bogus() -> None:
    zone = Zone()
    zone.publish(DOMAIN, [Record(DOMAIN, "MX", f"10 {HOST}")], security=Security("secure"))
    forged = Answer("NOERROR", (Record(DOMAIN, "MX", "10 mx.evil.example"),), "forge_mx")
    zone.tamper(DOMAIN, lambda question, answer: forged if question.type == "MX" else answer)
    assert zone.answer(Question(DOMAIN, "MX")).security == "bogus"
    assert zone.answer(Question(DOMAIN, "A")).security == "secure"
    zone.publish(DOMAIN, [Record(DOMAIN, "MX", f"10 {HOST}")])
    assert zone.answer(Question(DOMAIN, "MX")).security == "insecure"


def test_a_world_can_say_of_each_answer_how_secure_it_is() -> None:
    mx = MxHost(address_security="insecure", tlsa_security="bogus")
    security = security_of(World(mx=(mx,), dns=Dns(security="secure", mx_security="indeterminate")), DOMAIN)
    assert security.of(DOMAIN, "MX") == "indeterminate"
    assert security.of(HOST, "A") == security.of(HOST, "AAAA") == "insecure"
    assert security.of(NAME, "TLSA") == "bogus"
    assert security.of(f"_mta-sts.{DOMAIN}", "TXT") == "secure"


async def reply_to(internet: Internet, name: str, kind: str, ad: int = 0, cd: int = 0) -> dnslib.DNSRecord:
    query = dnslib.DNSRecord.question(name, kind)
    query.header.ad, query.header.cd = ad, cd
    where = internet.network.where(internet.dns_address, 53, "udp")
    return dnslib.DNSRecord.parse(await ask_by_udp(where, bytes(query.pack())))


async def test_the_resolver_sets_ad_where_it_is_wanted_and_right(internet: Internet, recorder: Recorder) -> None:
    case = case_of(World(mx=(MxHost(tlsa=(Tlsa(),)),), dns=SIGNED), Mode.DANE)
    world = await internet.add_case(case)
    name = f"_25._tcp.mx1.{world.domain}"
    reply = await reply_to(internet, name, "TLSA", ad=1)
    assert reply.header.ad
    assert read_tlsa(str(reply.rr[0].rdata)) is not None
    assert not (await reply_to(internet, name, "TLSA")).header.ad
    assert (await reply_to(internet, f"none.{world.domain}", "A", ad=1)).header.ad
    answered = facts(recorder, DnsAnswered, case.id)
    assert {fact.security for fact in answered} == {"secure"}
    assert answered[0].answers == (str(reply.rr[0].rdata).lower(),)
    assert (await reply_to(internet, f"_mta-sts.{world.domain}", "TXT")).header.rcode == dnslib.RCODE.NXDOMAIN


@pytest.mark.parametrize("state", ["bogus", "indeterminate"])
async def test_the_resolver_fails_on_a_bogus_answer_unless_checking_is_disabled(internet: Internet, state: str) -> None:
    mx = MxHost(tlsa=(Tlsa(),), tlsa_security=state)
    world = await internet.add_case(case_of(World(mx=(mx,), dns=SIGNED), Mode.DANE))
    name = f"_25._tcp.mx1.{world.domain}"
    refused = await reply_to(internet, name, "TLSA", ad=1)
    assert (refused.header.rcode, refused.header.ad, refused.rr) == (dnslib.RCODE.SERVFAIL, 0, [])
    unchecked = await reply_to(internet, name, "TLSA", ad=1, cd=1)
    assert (unchecked.header.rcode, unchecked.header.ad, len(unchecked.rr)) == (dnslib.RCODE.NOERROR, 0, 1)


async def test_without_protection_nothing_is_signed_and_there_are_no_tlsa_records(internet: Internet) -> None:
    mx = MxHost(tlsa=(Tlsa(),), tlsa_security="bogus")
    world = await internet.add_case(case_of(World(mx=(mx,), dns=SIGNED), Mode.ABSENT))
    reply = await reply_to(internet, f"_25._tcp.mx1.{world.domain}", "TLSA", ad=1)
    assert (reply.header.rcode, reply.header.ad) == (dnslib.RCODE.NXDOMAIN, 0)


async def test_a_policy_and_dane_stand_side_by_side(internet: Internet) -> None:
    world = await internet.add_case(case_of(World(mx=(MxHost(tlsa=(Tlsa(),)),), dns=SIGNED), Mode.TESTING))
    assert (await reply_to(internet, f"_mta-sts.{world.domain}", "TXT")).rr
    assert (await reply_to(internet, f"_25._tcp.mx1.{world.domain}", "TLSA")).rr


async def test_a_host_can_be_an_alias_with_its_records_below_either_name(internet: Internet) -> None:
    hosts = (
        MxHost("mx1", alias_of="one", tlsa=(Tlsa(),)),
        MxHost("mx2", alias_of="two", tlsa=(Tlsa(),), tlsa_below="target", alias_security="insecure"),
    )
    world = await internet.add_case(case_of(World(mx=hosts, dns=SIGNED), Mode.DANE))
    first = await reply_to(internet, f"mx1.{world.domain}", "A", ad=1)
    assert [str(record.rdata).rstrip(".") for record in first.rr] == [f"one.{world.domain}", world.mx[0].address]
    assert first.header.ad
    assert not (await reply_to(internet, f"mx2.{world.domain}", "A", ad=1)).header.ad
    assert (await reply_to(internet, f"two.{world.domain}", "A", ad=1)).header.ad
    found = {
        name: (await reply_to(internet, f"_25._tcp.{name}.{world.domain}", "TLSA")).rr
        for name in ("mx1", "one", "mx2", "two")
    }
    assert [name for name, records in found.items() if records] == ["mx1", "two"]


async def test_records_can_be_at_any_name_of_a_chain_of_aliases(internet: Internet) -> None:
    hosts = (
        MxHost("mx1", alias_of="one", alias_through="via", tlsa=(Tlsa(),), tlsa_below="between"),
        MxHost("mx2", alias_of="two", tlsa=(Tlsa(),), tlsa_below="target", tlsa_of_alias=(Tlsa(of="nobody"),)),
    )
    world = await internet.add_case(case_of(World(mx=hosts, dns=SIGNED), Mode.DANE))
    chain = await reply_to(internet, f"mx1.{world.domain}", "A", ad=1)
    names = [f"via.{world.domain}", f"one.{world.domain}"]
    assert [str(record.rdata).rstrip(".") for record in chain.rr] == [*names, world.mx[0].address]
    found = {
        name: [str(one.rdata) for one in (await reply_to(internet, f"_25._tcp.{name}.{world.domain}", "TLSA")).rr]
        for name in ("mx1", "via", "one", "mx2", "two")
    }
    assert [name for name, records in found.items() if records] == ["via", "mx2", "two"]
    assert found["mx2"] != found["two"]


async def test_a_domain_can_be_an_alias(internet: Internet) -> None:
    dns = replace(SIGNED, alias_of="mail")
    world = await internet.add_case(case_of(World(mx=(MxHost("mx1.mail"),), dns=dns), Mode.DANE))
    reply = await reply_to(internet, world.domain, "MX", ad=1)
    assert [str(record.rdata).rstrip(".") for record in reply.rr] == [
        f"mail.{world.domain}",
        f"10 mx1.mail.{world.domain}",
    ]
    assert reply.header.ad


def test_the_topmost_certificate_is_the_last_one_that_is_shown() -> None:
    authority = Authority.create()
    chain = x509.load_pem_x509_certificates(authority.credentials("path-too-long", "mx.d.example").chain_pem)
    assert len(chain) == 3
    assert authority.certificate_of("topmost", "mx.d.example", "path-too-long") == chain[-1]
