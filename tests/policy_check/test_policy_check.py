"""What the checks of a policy find, line by line, and what they say that senders will do."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from mta_sts_lab.policy_check import Checked, GivenCertificate, check_given
from mta_sts_lab.policy_check.checks.policy_text import MOST_FAULTS
from mta_sts_lab.policy_check.given import Level
from mta_sts_lab.policy_check.outlook import Fate
from mta_sts_lab.rfc.policy import body_lines

from tests.policy_check.given import GOOD, NOW, REPORTS, STS, given, key_usage, shows, signed_chain


def said(checked: Checked) -> str:
    return "\n".join(f"{one.level} {one.source}:{one.line} {one.what}; {one.effect}" for one in checked.findings)


def test_a_good_policy_has_no_finding() -> None:
    checked = check_given(given(records=(STS, REPORTS), mx=("mail.example.com", "A.mx.example.com.")))
    assert checked.findings == ()
    assert [host.fate for host in checked.outlook.hosts] == [Fate.DELIVERED, Fate.DELIVERED]
    assert [host.pattern for host in checked.outlook.hosts] == ["mail.example.com", "*.mx.example.com"]
    assert "keeps the policy for 7 days" in " ".join(checked.outlook.sentences)


@pytest.mark.parametrize(
    ("policy", "line", "words"),
    [
        (GOOD.replace(b"mode: enforce", b"mode: Enforce"), 2, "lower case"),
        (GOOD.replace(b"mode: enforce", b"mode : enforce"), 2, "No blank stands before the colon"),
        (GOOD.replace(b"mx: mail.example.com", b"mx: mail.example.com."), 3, "no final dot"),
        (GOOD.replace(b"mx: mail.example.com", b"mx: mail.example.com, b.example.com"), 3, "a line of its own"),
        (GOOD.replace(b"mx: *.mx.example.com", b"mx: mail*.example.com"), 4, "the whole first label"),
        (GOOD.replace(b"mx: mail.example.com", "mx: m\u00e4il.example.com".encode()), 3, "A-labels"),
        (GOOD.replace(b"max_age: 604800", b"max_age: 7d"), 5, "whole seconds"),
        (GOOD.replace(b"STSv1", b"STSv2"), 1, "The version is STSv1"),
        (GOOD + b"\n", 6, "no blank lines"),
        (b"\xef\xbb\xbf" + GOOD, 1, "byte order mark"),
        (GOOD.replace(b"\n", b"\r"), 1, "a CR alone ends none"),
        (GOOD.removesuffix(b"\n") + b"\r", 5, "a CR alone ends none"),
        (GOOD + b"\r", 6, "a CR alone ends none"),
        (GOOD.replace(b"mode: enforce", b"enforce"), 2, "a name, a colon and a value"),
    ],
)
def test_the_line_and_the_remedy_are_named(policy: bytes, line: int, words: str) -> None:
    problems = check_given(given(policy)).problems
    assert any(one.line == line and words in one.effect for one in problems), problems
    assert all(one.text == body_lines(policy)[one.line - 1] for one in problems if one.line)


def test_an_unusable_policy_protects_nobody() -> None:
    checked = check_given(given(GOOD.replace(b"enforce", b"strict"), mx=("mail.example.com",)))
    assert "delivers as if you had none" in " ".join(checked.outlook.sentences)
    assert [host.fate for host in checked.outlook.hosts] == [Fate.UNPROTECTED]


def test_lines_may_end_in_either_way() -> None:
    assert check_given(given(GOOD.replace(b"\n", b"\r\n"))).findings == ()
    assert check_given(given(GOOD.replace(b"\n", b"\r\n", 2))).findings == ()
    assert check_given(given(GOOD.removesuffix(b"\n"))).findings == ()


def test_an_empty_file() -> None:
    checked = check_given(given(b""))
    assert checked.problems
    assert "The file is empty" in checked.problems[0].effect


def test_a_host_that_is_not_listed() -> None:
    enforced = check_given(given(mx=("mail.example.com", "backup.example.net")))
    (problem,) = enforced.problems
    assert (problem.text, problem.source) == ("backup.example.net", "MX hosts")
    assert enforced.outlook.hosts[1].says == "Mail to backup.example.net waits: no mx line matches backup.example.net."
    testing = check_given(given(GOOD.replace(b"enforce", b"testing"), mx=("backup.example.net",)))
    assert [host.fate for host in testing.outlook.hosts] == [Fate.REPORTED]
    none = check_given(given(GOOD.replace(b"enforce", b"none"), mx=("backup.example.net",)))
    assert none.problems == ()
    assert none.outlook.hosts[0].fate is Fate.UNPROTECTED


def test_no_host_is_listed_at_all() -> None:
    checked = check_given(given(mx=("a.example.net", "b.example.net")))
    assert any("All mail waits" in sentence for sentence in checked.outlook.sentences)


@pytest.mark.parametrize(
    ("name", "words"), [("192.0.2.1", "an address"), ("a_b.example", "no host name"), (".", "RFC 7505")]
)
def test_what_is_no_mx_host(name: str, words: str) -> None:
    assert any(words in one.what for one in check_given(given(mx=(name,))).problems)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"max_age: 604800", b"max_age: 3600", "less than a week"),
        (b"mode: enforce\n", b"mode: enforce\nmode: testing\n", "mode is there 2 times"),
        (b"mx: *.mx", b"Mx: *.mx", "is mx meant?"),
        (b"*.mx.example.com", b"*.unused.example.com", "matches *.unused.example.com"),
    ],
)
def test_advice_is_no_problem(old: bytes, new: bytes, words: str) -> None:
    checked = check_given(given(GOOD.replace(old, new), mx=("mail.example.com",)))
    assert words in said(checked)
    assert checked.problems == ()
    assert all(one.level is Level.ADVICE for one in checked.findings)


def test_an_address_in_the_place_of_a_name() -> None:
    policy = GOOD.replace(b"mail.example.com", b"192.0.2.1")
    checked = check_given(given(policy))
    (problem,) = checked.problems
    assert (problem.line, problem.check) == (3, "mx-is-an-address")
    (host,) = check_given(given(policy, mx=("192.0.2.1",))).outlook.hosts
    assert host.fate is Fate.WAITS
    assert "no certificate can be valid for it" in host.says


def test_a_lifetime_beyond_the_limit() -> None:
    checked = check_given(given(GOOD.replace(b"604800", b"99999999")))
    assert [one.line for one in checked.problems] == [5]


def test_a_body_that_senders_may_not_read_to_its_end() -> None:
    checked = check_given(given(GOOD + b"x-note: " + b"n" * 70000 + b"\n"))
    assert "64 KiB" in said(checked)


def test_a_file_that_is_something_else_does_not_flood_the_page() -> None:
    assert len(check_given(given(b"<p>\n" * 5000)).findings) <= MOST_FAULTS + 1


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ((b"v=STSv1 ; id=1", REPORTS), "right behind the version"),
        ((STS, b"v=STSv1; id=2", REPORTS), "Two records are as good as none"),
        ((b"v=STSv1; id=2024-06-15;", REPORTS), "not 1 to 32 letters and digits"),
        ((b"v=STSv1;", REPORTS), "there is no"),
        ((b"v=spf1 -all", REPORTS), "not exactly one record"),
        ((STS, b"v=TLSRPTv1; rua=tls@example.com"), "no URI"),
        ((STS, b"v=TLSRPTv1; rua=ftp://example.com/"), "no address of it is a mailto: or https: URI"),
        ((STS, b"v=TLSRPTv1;"), "Nobody sends TLS reports"),
    ],
)
def test_records(records: tuple[bytes, ...], words: str) -> None:
    checked = check_given(given(records=records))
    assert checked.problems
    assert words in said(checked)


@pytest.mark.parametrize(
    "uri",
    [
        b"https://",
        b"https:///x",
        b"https:foo",
        b"https://user@",
        b"https://[::1",
        b"https://reports.example.com:70000/",
        b"mailto:tls-reports",
        b"mailto:a@",
        b"mailto://a@example.com",
        b"mailto:<a@example.com>",
        b"mailto:a@example.com%zz",
        b"MAILTO:a%20b@example.com",
    ],
)
def test_an_address_that_no_report_gets_to(uri: bytes) -> None:
    checked = check_given(given(records=(STS, b"v=TLSRPTv1; rua=" + uri)))
    assert len(checked.problems) == 1
    assert "no report can get to" in said(checked)
    assert "Nobody sends TLS reports" in said(checked)
    beside = check_given(given(records=(STS, REPORTS + b"," + uri)))
    assert beside.problems == ()
    assert "Reports go to the others" in said(beside)


@pytest.mark.parametrize(
    "uri",
    [
        b"https://reports.example.com",
        b"HTTPS://[2001:db8::1]:8443/v1?a=b",
        b"mailto:a@example.com?subject=x",
        b"mailto:a%2Bb@example.com",
        b"mailto:a@b%C3%BCro.example",
    ],
)
def test_an_address_that_reports_get_to(uri: bytes) -> None:
    assert check_given(given(records=(STS, b"v=TLSRPTv1; rua=" + uri))).findings == ()


def test_advice_to_ask_for_reports() -> None:
    checked = check_given(given(records=(STS,)))
    assert checked.problems == ()
    assert "there is no TLS-RPT record" in said(checked)
    assert "the TXT record at _mta-sts" in check_given(given(records=(REPORTS,))).not_checked


class TestCertificates:
    authority = trustme.CA()

    def told(self, *certificates: GivenCertificate, trusted: bool = True, days: int = 0) -> Checked:
        return check_given(
            given(
                mx=("mail.example.com",),
                certificates=certificates,
                authorities=(self.authority,) if trusted else (trustme.CA(),),
                now=NOW + datetime.timedelta(days=days),
            )
        )

    def test_a_good_one(self) -> None:
        good = shows("mail.example.com", self.authority, "mail.example.com")
        assert self.told(good).problems == ()

    def test_a_wildcard_stands_for_one_label(self) -> None:
        assert self.told(shows("mail.example.com", self.authority, "*.example.com")).problems == ()
        assert self.told(shows("mail.example.com", self.authority, "*.com")).problems

    def test_each_fault_makes_mail_wait(self) -> None:
        self_signed = GivenCertificate("root.pem", "mail.example.com", given(authorities=(self.authority,)).roots[0])
        for shown, days, words in (
            (shows("mail.example.com", self.authority, "mail.example.com"), 100, "ended on 2027-02-25"),
            (shows("mail.example.com", self.authority, "mail.example.com"), -9, "begins on 2026-11-27"),
            (shows("mail.example.com", self.authority, "other.example.com"), 0, "is for other.example.com"),
            (shows("mail.example.com", self.authority, common_name="mail.example.com"), 0, "no DNS name"),
            (self_signed, 0, "self-signed"),
        ):
            checked = self.told(shown, days=days)
            assert words in said(checked)
            assert checked.outlook.hosts[0].fate is Fate.WAITS
            assert all(one.effect == "Mail to this host waits." for one in checked.problems)

    def test_an_issuer_that_nobody_trusts(self) -> None:
        shown = shows("mail.example.com", self.authority, "mail.example.com")
        assert "none of the trusted authorities" in said(self.told(shown, trusted=False))

    def test_an_intermediate_that_is_not_sent(self) -> None:
        below = self.authority.create_child_ca()
        whole = shows("mail.example.com", below, "mail.example.com")
        assert self.told(whole).problems == ()
        alone = GivenCertificate(whole.source, whole.host, whole.leaf)
        assert "unable to get local issuer certificate" in said(self.told(alone))

    @pytest.mark.parametrize(
        ("usage", "fits"),
        [({"crl_sign"}, False), ({"digital_signature"}, True), ({"key_encipherment"}, True), ({"key_agreement"}, True)],
    )
    @pytest.mark.parametrize("trusted", [True, False])
    def test_a_key_that_is_for_something_else(self, usage: set[str], fits: bool, trusted: bool) -> None:
        leaf, root = signed_chain(key_usage(*usage))
        shown = GivenCertificate("mail.pem", "mail.example.com", leaf)
        checked = check_given(replace(given(certificates=(shown,)), roots=(root,) if trusted else ()))
        assert (checked.problems == ()) is fits
        assert ("the certificate's key is not for TLS (keyUsage)" in said(checked)) is not fits

    @pytest.mark.parametrize(
        ("purpose", "fits"),
        [
            (ExtendedKeyUsageOID.EMAIL_PROTECTION, False),
            (ExtendedKeyUsageOID.SERVER_AUTH, True),
            (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, True),
        ],
    )
    def test_an_authority_that_is_for_something_else(self, purpose: x509.ObjectIdentifier, fits: bool) -> None:
        leaf, above, root = signed_chain(authority=x509.ExtendedKeyUsage([purpose]))
        shown = GivenCertificate("mail.pem", "mail.example.com", leaf, (above,))
        checked = check_given(replace(given(mx=("mail.example.com",), certificates=(shown,)), roots=(root,)))
        assert (checked.problems == ()) is fits
        assert ("CN=above above the certificate is not for servers" in said(checked)) is not fits
        assert checked.outlook.hosts[0].fate is (Fate.DELIVERED if fits else Fate.WAITS)

    def test_an_authority_that_is_sent_and_not_needed(self) -> None:
        leaf, root = signed_chain()
        _, other, _ = signed_chain(authority=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]))
        shown = GivenCertificate("mail.pem", "mail.example.com", leaf, (other,))
        assert check_given(replace(given(certificates=(shown,)), roots=(root,))).problems == ()

    def test_one_that_ends_soon_is_advice(self) -> None:
        checked = self.told(shows("mail.example.com", self.authority, "mail.example.com"), days=85)
        assert checked.problems == ()
        assert "ends on" in said(checked)

    def test_the_policy_host(self) -> None:
        shown = shows("mta-sts.example.com", self.authority, "www.example.com")
        assert "cannot fetch the policy" in said(self.told(shown))

    def test_one_file_for_all_hosts_and_one_of_no_host(self) -> None:
        everywhere = shows("", self.authority, "mail.example.com")
        assert self.told(everywhere).problems == ()
        assert self.told(everywhere).outlook.hosts[0].fate is Fate.DELIVERED
        elsewhere = shows("old.example.com", self.authority, "old.example.com")
        assert "none of the MX hosts" in said(self.told(elsewhere))
