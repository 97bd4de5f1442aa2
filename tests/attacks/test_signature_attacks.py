"""The attacks on what DNSSEC says: forge_denial, forge_tlsa, replay_signatures, set_ad_bit, strip_signatures."""

from __future__ import annotations

import pytest
from mta_sts_lab.attacks import forge_denial, forge_tlsa, replay_signatures, set_ad_bit, strip_signatures
from mta_sts_lab.attacks.toolkit.attack import DnsAttack, DnsContext, complete
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import SIGNED_ZONE, SignedZone, Signing
from mta_sts_lab.world.zone import Answer, Question, Record, Security

DOMAIN = f"c0ffee.{SIGNED_ZONE}"
NAME = f"_25._tcp.mx1.{DOMAIN}"
TLSA = Question(NAME, "TLSA")
DS = Question(DOMAIN, "DS")
ADDRESS = Question(f"mx1.{DOMAIN}", "A")


@pytest.fixture(scope="module")
def zone() -> SignedZone:
    zone = SignedZone(Authority.create().private_key_pem)
    records = (Record(NAME, "TLSA", f"3 1 1 {'ab' * 32}"), Record(ADDRESS.name, "A", "198.18.0.9"))
    zone.publish(DOMAIN, records, "case", Security("secure"))
    zone.sign(DOMAIN, Signing())
    return zone


def attacked(zone: SignedZone, attack: DnsAttack, question: Question, **parameters: str) -> Answer:
    context = DnsContext(DOMAIN, complete(attack.form, parameters), overheard=zone.honest)
    assert DOMAIN in attack.detail(context) or attack is not set_ad_bit.set_ad_bit
    return attack.tamper(context, question, zone.honest(question))


def kinds(answer: Answer) -> list[str]:
    return [record.type for record in (*answer.records, *answer.authority)]


def test_a_forged_record_stands_beside_the_old_signature(zone: SignedZone) -> None:
    honest = zone.honest(TLSA)
    forged = attacked(zone, forge_tlsa.forge_tlsa, TLSA)
    assert [record.type for record in forged.records] == ["TLSA", "RRSIG"]
    assert forged.records[0].data != honest.records[0].data
    assert forged.records[1].data.split()[:4] == honest.records[1].data.split()[:4]
    assert attacked(zone, forge_tlsa.forge_tlsa, ADDRESS).records[0] == zone.honest(ADDRESS).records[0]


def authority_kinds(answer: Answer) -> list[str]:
    return [record.type for record in answer.authority]


def test_signatures_are_taken_out_of_answers_of_one_type_alone(zone: SignedZone) -> None:
    assert kinds(attacked(zone, strip_signatures.strip_signatures, TLSA)) == ["TLSA"]
    assert kinds(attacked(zone, strip_signatures.strip_signatures, ADDRESS)) == ["A", "RRSIG"]
    assert kinds(attacked(zone, strip_signatures.strip_signatures, ADDRESS, type="address")) == ["A"]
    # Who has IPv6 alone asks for these; there are none here, which is proved unless that is taken away, too.
    of_ipv6 = Question(ADDRESS.name, "AAAA")
    assert "NSEC" in authority_kinds(zone.honest(of_ipv6))
    assert "NSEC" not in authority_kinds(attacked(zone, strip_signatures.strip_signatures, of_ipv6, type="address"))
    nothing = Question(f"_25._tcp.mx2.{DOMAIN}", "TLSA")
    assert kinds(attacked(zone, strip_signatures.strip_signatures, nothing)) == ["SOA"]


def test_an_old_answer_has_the_records_of_today_and_a_signature_that_is_over(zone: SignedZone) -> None:
    replayed = attacked(zone, replay_signatures.replay_signatures, TLSA)
    honest = zone.honest(TLSA)
    assert replayed.records[0] == honest.records[0]
    made, ends = replayed.records[1].data.split()[5], replayed.records[1].data.split()[4]
    assert made < ends < honest.records[1].data.split()[5]
    untouched = attacked(zone, replay_signatures.replay_signatures, TLSA, type="MX")
    assert untouched.records[1].data.split()[5] >= honest.records[1].data.split()[5]


@pytest.mark.parametrize("question", [TLSA, DS])
def test_a_denial_has_no_proof_or_that_of_another_name(zone: SignedZone, question: Question) -> None:
    attack = forge_denial.forge_denial
    bare = attacked(zone, attack, question, type=question.type)
    assert (bare.rcode, kinds(bare)) == ("NOERROR", ["SOA"])
    proved = attacked(zone, attack, question, type=question.type, proof="of-another-name")
    assert kinds(proved) == ["SOA", "RRSIG", "NSEC", "RRSIG"]
    assert proved.authority[2].name == f"nothing-is-here.{DOMAIN}"


def test_what_is_not_there_is_not_denied_once_more(zone: SignedZone) -> None:
    nothing = Question(f"_25._tcp.mx2.{DOMAIN}", "TLSA")
    honest = zone.honest(nothing)
    assert attacked(zone, forge_denial.forge_denial, nothing).rcode == honest.rcode
    assert kinds(attacked(zone, forge_denial.forge_denial, nothing)) == kinds(honest)


def test_an_answer_can_claim_to_be_validated(zone: SignedZone) -> None:
    claimed = attacked(zone, set_ad_bit.set_ad_bit, ADDRESS)
    assert claimed.claims_ad
    assert not zone.honest(ADDRESS).claims_ad
