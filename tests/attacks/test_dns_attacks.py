"""The attacks on DNS answers: fail_address_lookup, fail_mx_lookup, fail_tlsa_lookup, forge_mx, hide_policy_record,
forge_policy_id.

Those on what DNSSEC says are in `test_signature_attacks`.
"""

from __future__ import annotations

import re

import pytest
from mta_sts_lab.attacks import (
    fail_address_lookup,
    fail_mx_lookup,
    fail_tlsa_lookup,
    forge_mx,
    forge_policy_id,
    hide_policy_record,
)
from mta_sts_lab.attacks.toolkit.attack import DnsAttack, DnsContext, complete
from mta_sts_lab.world.zone import Answer, Question, Record

DOMAIN = "domain.example"
POLICY_NAME = f"_mta-sts.{DOMAIN}"
MX = Answer("NOERROR", (Record(DOMAIN, "MX", f"10 mx1.{DOMAIN}"), Record(DOMAIN, "MX", f"20 mx2.{DOMAIN}")))
TXT = Answer("NOERROR", (Record(POLICY_NAME, "TXT", "v=STSv1; id=0123456789abcdef;"),))


def context(attack: DnsAttack, **parameters: str) -> DnsContext:
    return DnsContext(DOMAIN, complete(attack.form, parameters), "mx.attacker.example")


def _said_of(how: str) -> str:
    return "did not answer" if how == "TIMEOUT" else f"answered {how} to"


@pytest.mark.parametrize("how", ["SERVFAIL", "REFUSED", "NXDOMAIN", "TIMEOUT"])
@pytest.mark.parametrize("kind", ["MX", "A"])
def test_fail_mx_lookup_answers_nothing_about_the_domain_itself(how: str, kind: str) -> None:
    attack = fail_mx_lookup.fail_mx_lookup
    assert attack.tamper(context(attack, how=how), Question(DOMAIN, kind), MX) == Answer(how)
    assert attack.tamper(context(attack, how=how), Question(POLICY_NAME, "TXT"), TXT) is TXT
    assert _said_of(how) in attack.detail(context(attack, how=how))


def test_forge_mx_leaves_only_the_attacker() -> None:
    attack = forge_mx.forge_mx
    forged = attack.tamper(context(attack), Question(DOMAIN, "MX"), MX)
    assert [record.data for record in forged.records] == ["10 mx.attacker.example"]
    assert attack.needs_attacker_mx
    assert "mx.attacker.example" in attack.detail(context(attack))


@pytest.mark.parametrize(
    "question", [Question(DOMAIN, "A"), Question(f"mx1.{DOMAIN}", "MX"), Question(POLICY_NAME, "TXT")]
)
def test_forge_mx_touches_nothing_else(question: Question) -> None:
    attack = forge_mx.forge_mx
    assert attack.tamper(context(attack), question, MX) is MX


@pytest.mark.parametrize("how", ["NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED", "TIMEOUT"])
def test_hide_policy_record(how: str) -> None:
    attack = hide_policy_record.hide_policy_record
    hidden = attack.tamper(context(attack, how=how), Question(POLICY_NAME, "TXT"), TXT)
    assert hidden == Answer("NOERROR" if how == "NODATA" else how)
    assert POLICY_NAME in attack.detail(context(attack, how=how))
    assert attack.tamper(context(attack, how=how), Question(DOMAIN, "MX"), MX) is MX


def test_what_does_not_exist_is_not_hidden() -> None:
    attack = hide_policy_record.hide_policy_record
    honest = Answer("NXDOMAIN")
    assert attack.tamper(context(attack), Question(POLICY_NAME, "TXT"), honest) is honest


def test_forge_policy_id_changes_the_id_and_nothing_else() -> None:
    attack = forge_policy_id.forge_policy_id
    forged = attack.tamper(context(attack), Question(POLICY_NAME, "TXT"), TXT)
    assert forged.records[0].data == f"v=STSv1; id={forge_policy_id.FORGED_ID};"
    assert re.fullmatch("[A-Za-z0-9]{1,32}", forge_policy_id.FORGED_ID)


@pytest.mark.parametrize(
    "honest", [Answer("NXDOMAIN"), Answer("NOERROR", (Record(POLICY_NAME, "TXT", "v=spf1 -all"),))]
)
def test_forge_policy_id_needs_an_id(honest: Answer) -> None:
    attack = forge_policy_id.forge_policy_id
    assert attack.tamper(context(attack), Question(POLICY_NAME, "TXT"), honest) is honest


def test_forge_policy_id_leaves_other_names_alone() -> None:
    attack = forge_policy_id.forge_policy_id
    assert attack.tamper(context(attack), Question(DOMAIN, "TXT"), TXT) is TXT


@pytest.mark.parametrize(("kind", "other"), [("A", "AAAA"), ("AAAA", "A")])
@pytest.mark.parametrize("how", ["SERVFAIL", "TIMEOUT"])
def test_fail_address_lookup_fails_in_one_family(kind: str, other: str, how: str) -> None:
    attack, name = fail_address_lookup.fail_address_lookup, f"mx1.{DOMAIN}"
    attacked = context(attack, type=kind, how=how)
    honest = Answer("NOERROR", (Record(name, kind, "2001:db8::1"),))
    assert attack.tamper(attacked, Question(name, kind), honest) == Answer(how)
    assert attack.tamper(attacked, Question(name, other), honest) is honest
    assert attack.tamper(attacked, Question(DOMAIN, "MX"), MX) is MX
    assert f"the {kind} records" in attack.detail(attacked)


@pytest.mark.parametrize("how", ["TIMEOUT", "REFUSED", "SERVFAIL"])
def test_fail_tlsa_lookup_answers_nothing_about_tlsa_records(how: str) -> None:
    attack, name = fail_tlsa_lookup.fail_tlsa_lookup, f"_25._tcp.mx1.{DOMAIN}"
    attacked, records = context(attack, how=how), Answer("NOERROR", (Record(name, "TLSA", f"3 1 1 {'ab' * 32}"),))
    for honest in (records, Answer("NXDOMAIN")):
        assert attack.tamper(attacked, Question(name, "TLSA"), honest) == Answer(how)
    assert attack.tamper(attacked, Question(name, "CNAME"), records) is records
    assert attack.tamper(attacked, Question(DOMAIN, "MX"), MX) is MX
    assert _said_of(how) in attack.detail(attacked)
    assert "TLSA" in attack.detail(attacked)
