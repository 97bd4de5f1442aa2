"""How questions are answered, without a wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.model.world import Dns, Reports
from mta_sts_lab.rfc.domain_names import canonical
from mta_sts_lab.world.zone import Answer, Question, Record, Zone, policy_records, report_records

DOMAIN = "c0ffee.example"


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    zone.publish(
        DOMAIN,
        [
            Record("C0FFEE.example.", "MX", "10 mx1.c0ffee.example"),
            Record(f"mx1.{DOMAIN}", "A", "198.18.64.4"),
            Record(f"a.mail.{DOMAIN}", "A", "198.18.64.5"),
            Record(f"alias.{DOMAIN}", "CNAME", f"mx1.{DOMAIN}."),
            Record(f"away.{DOMAIN}", "CNAME", "elsewhere.test"),
            Record(f"round.{DOMAIN}", "CNAME", f"round.{DOMAIN}"),
            Record(f"gone.{DOMAIN}", "CNAME", f"nothing.{DOMAIN}"),
        ],
        case="a/b[enforce]",
    )
    return zone


def ask(zone: Zone, name: str, kind: str) -> tuple[str, list[str]]:
    answer = zone.answer(Question(name, kind))
    return answer.rcode, [record.data for record in answer.records]


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "data"),
    [
        (DOMAIN, "MX", "NOERROR", ["10 mx1.c0ffee.example"]),
        (f"mx1.{DOMAIN}", "A", "NOERROR", ["198.18.64.4"]),
        (f"mx1.{DOMAIN}", "AAAA", "NOERROR", []),
        (f"mx2.{DOMAIN}", "A", "NXDOMAIN", []),
        (f"mail.{DOMAIN}", "A", "NOERROR", []),
        (f"alias.{DOMAIN}", "A", "NOERROR", [f"mx1.{DOMAIN}.", "198.18.64.4"]),
        (f"alias.{DOMAIN}", "CNAME", "NOERROR", [f"mx1.{DOMAIN}."]),
        (f"alias.{DOMAIN}", "TXT", "NOERROR", [f"mx1.{DOMAIN}."]),
        (f"away.{DOMAIN}", "A", "NOERROR", ["elsewhere.test"]),
        (f"gone.{DOMAIN}", "A", "NXDOMAIN", [f"nothing.{DOMAIN}"]),
        (f"round.{DOMAIN}", "A", "SERVFAIL", []),
        ("example", "A", "NOERROR", []),
        ("", "NS", "REFUSED", []),
        ("example.com", "A", "REFUSED", []),
        ("notc0ffee.example", "A", "REFUSED", []),
    ],
)
def test_answers(zone: Zone, name: str, kind: str, rcode: str, data: list[str]) -> None:
    assert ask(zone, name, kind) == (rcode, data)


def test_spelling_does_not_matter(zone: Zone) -> None:
    assert ask(zone, "MX1.c0FFee.Example.", "A") == ("NOERROR", ["198.18.64.4"])
    assert zone.case_of("X.Y.C0FFEE.EXAMPLE.") == "a/b[enforce]"


def test_a_domain_belongs_to_its_case(zone: Zone) -> None:
    zone.publish("lab.example", [])
    assert zone.owner_of(f"deep.below.{DOMAIN}") == DOMAIN
    assert zone.case_of("reports.lab.example") == ""
    assert zone.case_of("example.com") == ""
    assert zone.owner_of("") == ""


def test_publishing_again_replaces_everything(zone: Zone) -> None:
    zone.publish(DOMAIN, [Record(DOMAIN, "MX", "20 mx2.c0ffee.example")], case="a/b[enforce]")
    assert ask(zone, DOMAIN, "MX") == ("NOERROR", ["20 mx2.c0ffee.example"])
    assert ask(zone, f"mx1.{DOMAIN}", "A") == ("NXDOMAIN", [])


def test_a_withdrawn_domain_is_nobody_s(zone: Zone) -> None:
    zone.withdraw(DOMAIN)
    zone.withdraw(DOMAIN)
    assert ask(zone, DOMAIN, "MX")[0] == "REFUSED"
    assert zone.case_of(DOMAIN) == ""


def test_a_record_outside_its_domain_is_refused(zone: Zone) -> None:
    with pytest.raises(ValueError, match=r"victim\.example is not within"):
        zone.publish(DOMAIN, [Record("victim.example", "A", "198.18.64.9")])


def test_an_attack_sees_the_honest_answer_and_replaces_it(zone: Zone) -> None:
    def forge(question: Question, honest: Answer) -> Answer:
        if question.type != "MX":
            return honest
        assert honest.records[0].data == "10 mx1.c0ffee.example"
        return Answer("NOERROR", (Record(question.name, "MX", "10 mx.evil.example"),), tampered_by="forge_mx")

    zone.tamper(DOMAIN, forge)
    assert zone.answer(Question(DOMAIN, "MX")).tampered_by == "forge_mx"
    assert ask(zone, DOMAIN, "MX") == ("NOERROR", ["10 mx.evil.example"])
    assert ask(zone, f"mx1.{DOMAIN}", "A") == ("NOERROR", ["198.18.64.4"])
    zone.publish(DOMAIN, [], case="a/b[enforce]")
    zone.publish("other.example", [Record("other.example", "MX", "10 mx.other.example")])
    assert ask(zone, "other.example", "MX") == ("NOERROR", ["10 mx.other.example"])
    zone.tamper(DOMAIN, None)
    assert ask(zone, DOMAIN, "MX") == ("NOERROR", [])
    with pytest.raises(KeyError):
        zone.tamper("unknown.example", None)


def test_what_changes_is_forgotten_at_once(zone: Zone) -> None:
    assert {record.ttl for record in zone.answer(Question(f"alias.{DOMAIN}", "A")).records} == {0}
    assert zone.answer(Question(DOMAIN, "SOA")).records[0].data.split()[-1] == "0"


@given(st.text(max_size=300), st.sampled_from(["A", "MX", "TXT", "CNAME"]))
def test_any_name_gets_some_answer(name: str, kind: str) -> None:
    zone = Zone()
    zone.publish(DOMAIN, [Record(f"alias.{DOMAIN}", "CNAME", "elsewhere.test")], case="c")
    answer = zone.answer(Question(canonical(name), kind))
    assert answer.rcode in ("NOERROR", "NXDOMAIN", "REFUSED", "SERVFAIL")


def test_the_strings_of_a_record_are_as_long_as_it_says() -> None:
    (record,) = report_records(DOMAIN, Reports(string_length=9))
    assert (record.name, record.string_length) == (f"_smtp._tls.{DOMAIN}", 9)


def test_a_record_can_stand_where_an_alias_leads() -> None:
    alias, record = report_records(DOMAIN, Reports(alias=True))
    assert (alias.name, alias.type, alias.data) == (f"_smtp._tls.{DOMAIN}", "CNAME", record.name)
    assert (record.type, record.name) == ("TXT", f"tls-reporting.{DOMAIN}")


def test_a_policy_record_can_stand_where_aliases_lead_in_short_strings() -> None:
    dns = Dns(("v=STSv1; id={id};",), sts_string_length=5, sts_aliases=2)
    first, second, record = policy_records(DOMAIN, dns, "1")
    assert (first.name, first.type, first.data) == (f"_mta-sts.{DOMAIN}", "CNAME", second.name)
    assert (second.type, second.data) == ("CNAME", record.name)
    assert (record.type, record.data, record.string_length) == ("TXT", "v=STSv1; id=1;", 5)


def test_reports_can_be_asked_for_at_the_mail_hosts_too() -> None:
    reports = Reports(at_mx=("v=TLSRPTv1; rua={https}/mx",))
    records = list(report_records(DOMAIN, reports, ["mx1.c0ffee.example", "mx2.c0ffee.example"]))
    assert [(one.name, one.data) for one in records[1:]] == [
        (f"_smtp._tls.mx{number}.c0ffee.example", "v=TLSRPTv1; rua=https://reports.lab.example/v1/c0ffee/mx")
        for number in (1, 2)
    ]
